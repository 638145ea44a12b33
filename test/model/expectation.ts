import { FAILURES, type FailureReason } from '../../common/contracts/failures.ts';
import type { JobReference } from '../../common/contracts/phases.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { BuiltModule } from '../../common/redis/submissions.ts';

/** What the farm allows: see `failWork`, `claim.lua` and `phase-store.ts`. */
const MAX_FAULTS = 5;
const MAX_CRASHES = 3;
const MOST_LOST = 10;
const SOON_MS = 600_000;

/** What has been decided about a work; `again`: it starts once more when its executors have let go. */
export type Verdict = 'again' | 'succeeded' | 'failed' | 'cancelled' | null;

interface ExpectedPhase {
  isRunning: boolean;
  startedAt: number;
  claimedAt: number;
  faults: number;
  lost: number;
  isExcused: boolean;
}

interface ExpectedWork {
  readonly module: BuiltModule;
  readonly parents: readonly string[];
  generation: number;
  crashes: number;
  verdict: Verdict;
  /** `<vm>/<phase>` of this generation. */
  phases: Map<string, ExpectedPhase>;
  readonly succeeded: Set<string>;
  /** Since its first claim, without outages. */
  aliveMs: number | null;
}

/**
 * What must become of the works of a graph, told by what happened to them: a second, simpler account beside the scripts'. It
 * knows no Redis, no order of admission and no portions.
 */
export class Expectation {
  readonly #works: ReadonlyMap<string, ExpectedWork>;
  #now = 0;
  #awaySince: number | null = null;
  #awayUntil = -1;

  constructor(graph: readonly BuiltModule[]) {
    const idOf = new Map(graph.map(({ name, layerBuild }) => [name, layerBuild]));
    const begin = (module: BuiltModule): ExpectedWork => ({
      ...{ module, parents: module.dependsOn.map((name) => idOf.get(name) ?? '') },
      ...{ generation: 1, crashes: 0, verdict: null, phases: new Map(), succeeded: new Set(), aliveMs: null },
    });
    this.#works = new Map(graph.map((module) => [module.layerBuild, begin(module)]));
  }

  get isAway(): boolean {
    return this.#awaySince !== null;
  }

  passed(ms: number): void {
    this.#now += ms;
    if (this.isAway) return;
    for (const work of this.#works.values()) if (work.aliveMs !== null) work.aliveMs += ms;
  }

  away(isAway: boolean): void {
    if (isAway) this.#awaySince ??= this.#now;
    else if (this.#awaySince !== null) {
      this.#awaySince = null;
      this.#awayUntil = this.#now;
    }
  }

  /** A worker was given a phase. Returns what is wrong with that, or null. */
  claimed(job: JobReference): string | null {
    const work = this.#workOf(job);
    if (job.generation !== work.generation) return `Generation ${work.generation} goes on, not ${job.generation}.`;
    if (work.verdict !== null) return `It is ${work.verdict}.`;
    const missing = this.#missingFor(work, job);
    if (missing.length > 0) return `It starts before ${missing.join(', ')}.`;
    work.aliveMs ??= 0;
    const phase = this.#phaseOf(work, job);
    if (phase.isRunning) phase.lost = this.#isSoon(phase) ? phase.lost + 1 : 1;
    else phase.startedAt = this.#now;
    phase.isRunning = true;
    phase.claimedAt = this.#now;
    return phase.lost >= MOST_LOST ? 'It has ended ten workers.' : null;
  }

  /** A worker asked for a phase and was not given it. */
  refused(job: JobReference): void {
    const work = this.#workOf(job);
    const phase = work.phases.get(fieldOf(job));
    const isLast = phase?.isRunning && this.#isSoon(phase) && phase.lost + 1 >= MOST_LOST;
    if (isLast && job.generation === work.generation && work.verdict === null) work.verdict = 'failed';
  }

  /** A phase is handed out once more by the sweep: the executor that had it counts no longer. */
  redispatched(job: JobReference): void {
    const phase = this.#workOf(job).phases.get(fieldOf(job));
    if (phase) phase.isRunning = false;
  }

  /** An executor that held the current claim has committed. */
  committed(job: JobReference, reason: FailureReason | null): void {
    const work = this.#workOf(job);
    const phase = this.#phaseOf(work, job);
    phase.isRunning = false;
    if (work.verdict !== null) return;
    const away = this.isAway || this.#awayUntil >= phase.startedAt;
    const excused = away || phase.isExcused;
    phase.isExcused = away;
    if (reason === null) {
      work.succeeded.add(fieldOf(job));
      if (work.succeeded.size === work.module.spec.vms.length * PHASES.length) work.verdict = 'succeeded';
      return;
    }
    const { retry } = FAILURES[reason];
    if (retry === 'same-generation' && (away || phase.faults < MAX_FAULTS)) {
      if (!away) phase.faults += 1;
      return;
    }
    if (retry !== 'next-generation') {
      work.verdict = 'failed';
      return;
    }
    const crashes = work.crashes + (excused ? 0 : 1);
    if (crashes >= MAX_CRASHES) work.verdict = 'failed';
    else Object.assign(work, { crashes, verdict: 'again' });
  }

  /** How a work is seen to stand. Returns what is wrong with that, or null. */
  seen(
    id: string,
    seen: { readonly generation: number; readonly verdict: Verdict },
    isCancelled: boolean,
  ): string | null {
    const work = this.#works.get(id);
    if (!work) return 'Nobody submitted it.';
    if (seen.generation === work.generation + 1 && work.verdict === 'again') {
      Object.assign(work, { generation: seen.generation, verdict: null, phases: new Map() });
      work.succeeded.clear();
    }
    if (seen.generation !== work.generation) return `It is generation ${seen.generation} of ${work.generation}.`;
    if (seen.verdict === work.verdict) return null;
    const mayFail = this.#hasFailedParent(work) || (work.aliveMs ?? 0) >= work.module.spec.module.timeoutMs;
    const isOpen = work.verdict === null || work.verdict === 'again';
    const isMeant =
      (seen.verdict === 'cancelled' && isCancelled && work.verdict !== 'succeeded') ||
      (seen.verdict === 'failed' && mayFail && isOpen);
    if (!isMeant) return `It is ${seen.verdict}, and must be ${work.verdict}.`;
    work.verdict = seen.verdict;
    return null;
  }

  #hasFailedParent({ parents }: ExpectedWork): boolean {
    return parents.some((parent) => {
      const work = this.#works.get(parent);
      return work && (work.verdict === 'failed' || this.#hasFailedParent(work));
    });
  }

  #isSoon({ claimedAt }: ExpectedPhase): boolean {
    return this.#now - claimedAt <= SOON_MS;
  }

  #missingFor(work: ExpectedWork, { vm, phase }: JobReference): string[] {
    const vms = work.module.spec.vms.map(({ name }) => name);
    switch (phase) {
      case 'import':
        return work.parents.filter((parent) => this.#works.get(parent)?.verdict !== 'succeeded');
      case 'boot-keystrokes':
        return vms.map((name) => `${name}/import`).filter((field) => !work.succeeded.has(field));
      case 'provision':
        return [`${vm}/boot-keystrokes`].filter((field) => !work.succeeded.has(field));
      case 'snapshot':
        return vms.map((name) => `${name}/provision`).filter((field) => !work.succeeded.has(field));
    }
  }

  #workOf({ layerBuild }: JobReference): ExpectedWork {
    const work = this.#works.get(layerBuild);
    if (!work) throw new Error(`Nobody submitted ${layerBuild}.`);
    return work;
  }

  #phaseOf(work: ExpectedWork, job: JobReference): ExpectedPhase {
    const known = work.phases.get(fieldOf(job));
    if (known) return known;
    const phase = { isRunning: false, startedAt: this.#now, claimedAt: 0, faults: 0, lost: 0, isExcused: false };
    work.phases.set(fieldOf(job), phase);
    return phase;
  }
}

const fieldOf = ({ vm, phase }: JobReference) => `${vm}/${phase}`;
