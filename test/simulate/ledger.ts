import type { JobReference } from '../../common/contracts/phases.ts';
import { lowerBound, type Plan, type SimulatedCluster } from './scenario.ts';

/** What a run came to; times in ms. */
export interface Report {
  readonly modules: number;
  readonly makespan: number;
  /** Makespan against what no scheduler can beat, by cluster: of those without an outage. */
  readonly overBound: { readonly mean: number; readonly worst: number };
  /** The same of those with one, whose length is left out. */
  readonly overBoundWithOutage: { readonly mean: number; readonly worst: number };
  /**
   * Jain's index of what owners hold while all of them wait, of clusters on which they did so for an hour or more: 1 is fair,
   * 1 / owners is not. Gangs are not divided, so four owners of four slots cannot come close to 1.
   */
  readonly fairness: { readonly mean: number; readonly least: number; readonly clusters: number };
  /** From when a module's disks were there until its machines started. */
  readonly waits: { readonly p50: number; readonly p95: number; readonly longest: number };
  /** Moments at which a cluster showed, or the farm counted, more than its limits allow. */
  readonly violations: number;
  /** Phases that succeeded twice in a generation. */
  readonly twice: number;
  /** Builds that did not succeed. */
  readonly failed: number;
}

/** What is shared for less than this depends more on single machines than on owners. */
const CONTENDED_MS = 3_600_000;

interface Standing {
  /** By owner: machines now, slot time while all owners waited, modules that wait for machines. */
  readonly held: Map<string, number>;
  readonly shared: Map<string, number>;
  readonly waiting: Map<string, number>;
  /** For how long all owners waited. */
  contendedMs: number;
  since: number;
  endedAt: number;
}

/** Looks at a run from outside and keeps account of it. */
export class Ledger {
  readonly #plan: Plan;
  readonly #ownerOf = new Map<string, string>();
  readonly #clusterOf = new Map<string, string>();
  readonly #importsLeft = new Map<string, number>();
  readonly #readyAt = new Map<string, number>();
  /** Machines that hold a slot: one whose phase is begun a second time holds no second one. */
  readonly #machines = new Set<string>();
  readonly #standings = new Map<string, Standing>();
  readonly #succeeded = new Set<string>();
  readonly #waits: number[] = [];
  #now = 0;
  #violations = 0;
  #twice = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const { name, builds } of plan.clusters) {
      const zero = () => new Map([...builds.keys()].map((owner) => [owner, 0]));
      this.#standings.set(name, {
        held: zero(),
        shared: zero(),
        waiting: zero(),
        contendedMs: 0,
        since: 0,
        endedAt: 0,
      });
      for (const [owner, modules] of builds) {
        for (const { layerBuild, spec } of modules) {
          this.#ownerOf.set(layerBuild, owner);
          this.#clusterOf.set(layerBuild, name);
          this.#importsLeft.set(layerBuild, spec.vms.length);
        }
      }
    }
  }

  began(job: JobReference, now: number): void {
    if (job.phase !== 'boot-keystrokes') return;
    this.#now = now;
    const { layerBuild } = job;
    const standing = this.#accountFor(layerBuild);
    const owner = this.#ownerOf.get(layerBuild) ?? '';
    const readyAt = this.#readyAt.get(layerBuild);
    if (readyAt !== undefined) {
      this.#readyAt.delete(layerBuild);
      this.#waits.push(this.#now - readyAt);
      add(standing.waiting, owner, -1);
    }
    if (this.#machines.has(machineOf(job))) return;
    this.#machines.add(machineOf(job));
    add(standing.held, owner, 1);
  }

  ended({ layerBuild, generation, vm, phase }: JobReference, now: number): void {
    this.#now = now;
    const name = [layerBuild, generation, vm, phase].join('/');
    if (this.#succeeded.has(name)) this.#twice += 1;
    this.#succeeded.add(name);
    const standing = this.#accountFor(layerBuild);
    standing.endedAt = now;
    if (phase !== 'import' || generation !== 1) return;
    const left = (this.#importsLeft.get(layerBuild) ?? 0) - 1;
    this.#importsLeft.set(layerBuild, left);
    if (left > 0) return;
    this.#readyAt.set(layerBuild, now);
    add(standing.waiting, this.#ownerOf.get(layerBuild) ?? '', 1);
  }

  freed(machine: Machine, now: number): void {
    this.#now = now;
    if (!this.#machines.delete(machineOf(machine))) return;
    add(this.#accountFor(machine.layerBuild).held, this.#ownerOf.get(machine.layerBuild) ?? '', -1);
  }

  showed({ limits }: SimulatedCluster, machines: number): void {
    if (machines > limits.vms) this.#violations += 1;
  }

  counted({ limits }: SimulatedCluster, vms: number): void {
    if (vms > limits.vms) this.#violations += 1;
  }

  report(makespan: number, failed: number): Report {
    const ratios = this.#plan.clusters.map((cluster) => {
      const { outage, name } = cluster;
      const ended = (this.#standings.get(name)?.endedAt ?? 0) - (outage ? outage.until - outage.from : 0);
      return { outage, ratio: ended / lowerBound(cluster, this.#plan.times) };
    });
    const waits = this.#waits.toSorted((a, b) => a - b);
    const quantile = (q: number) => waits[Math.min(waits.length - 1, Math.floor(q * waits.length))] ?? 0;
    return {
      ...{ modules: this.#ownerOf.size, makespan },
      overBound: summary(ratios.filter(({ outage }) => !outage).map(({ ratio }) => ratio)),
      overBoundWithOutage: summary(ratios.filter(({ outage }) => outage).map(({ ratio }) => ratio)),
      fairness: this.#fairness(),
      waits: { p50: quantile(0.5), p95: quantile(0.95), longest: quantile(1) },
      ...{ violations: this.#violations, twice: this.#twice, failed },
    };
  }

  #fairness(): Report['fairness'] {
    const contended = [...this.#standings.values()].filter(({ contendedMs }) => contendedMs >= CONTENDED_MS);
    const indices = contended.map(({ shared }) => jain([...shared.values()]));
    return { mean: mean(indices), least: Math.min(1, ...indices), clusters: indices.length };
  }

  /** The account of a cluster, kept up to now. */
  #accountFor(layerBuild: string): Standing {
    const standing = this.#standings.get(this.#clusterOf.get(layerBuild) ?? '');
    if (!standing) throw new Error(`${layerBuild} was never submitted.`);
    const isContended = [...standing.waiting.values()].every((modules) => modules > 0);
    if (isContended) {
      const lasts = this.#now - standing.since;
      standing.contendedMs += lasts;
      for (const [owner, machines] of standing.held) add(standing.shared, owner, machines * lasts);
    }
    standing.since = this.#now;
    return standing;
  }
}

type Machine = Pick<JobReference, 'layerBuild' | 'generation' | 'vm'>;

const machineOf = ({ layerBuild, generation, vm }: Machine) => `${layerBuild}/${generation}/${vm}`;

function add(map: Map<string, number>, name: string, amount: number): void {
  map.set(name, (map.get(name) ?? 0) + amount);
}

function jain(shares: readonly number[]): number {
  const total = shares.reduce((sum, share) => sum + share, 0);
  const squares = shares.reduce((sum, share) => sum + share ** 2, 0);
  return squares === 0 ? 1 : total ** 2 / (shares.length * squares);
}

function summary(values: readonly number[]): { mean: number; worst: number } {
  return { mean: mean(values), worst: Math.max(0, ...values) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
