import assert from 'node:assert/strict';
import type { ClusterMode } from '../../common/contracts/cluster-control.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import { type JobReference, jobId } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { changeControl } from '../../common/redis/cluster-control.ts';
import {
  confirmQueued,
  type Dispatch,
  endOverdue,
  placedJobs,
  redispatch,
  takeReady,
} from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { runScript } from '../../common/redis/scripts.ts';
import { type ObservedVm, readUsage, reportCluster, reportTrouble } from '../../common/redis/slots.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { advance } from '../../common/redis/tasks.ts';
import type { BuiltModule, SubmittedModule } from '../../common/redis/write-submission.ts';
import { newId, sampleFailure } from '../harness/farm-state.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';
import { Expectation, type Verdict } from './expectation.ts';
import type { ModelFarm } from './model-farm.ts';
import type { Happening, Scenario } from './scenario.ts';

const LIMITS = { imports: 2, vms: 3, cpu: 3, memoryBytes: 8 * 1024 ** 3 };
const LAB = { cluster: 'lab', limits: LIMITS };
const PASSES_MS = [100, 6_000, 61_000, 1_200_000];

const MODES = ['cordoned', 'draining', 'paused'] as const satisfies ClusterMode[];
/** Builds of a run, at most. */
const MOST_BUILDS = 5;

/** A build, and what it wants. */
interface RequestedBuild {
  readonly id: string;
  readonly modules: readonly string[];
  /** Its own and those that it has joined. */
  readonly layerBuilds: ReadonlySet<string>;
}

/** Workers, queues, a cluster and two schedulers, reduced to what the farm's state sees of them. */
export class World {
  readonly #farm: ModelFarm;
  readonly #graph: readonly BuiltModule[];
  readonly #reasons: Scenario['reasons'];
  readonly #expected = new Expectation();
  /** What BullMQ holds: handed out again and again until it is completed. */
  readonly #queue: Dispatch[] = [];
  readonly #running: PhaseClaim[] = [];
  /** Executors that were given up for dead and are not. */
  readonly #zombies: PhaseClaim[] = [];
  readonly #done: [PhaseClaim, PhaseResult][] = [];
  readonly #machines = new Map<string, ObservedVm>();
  /** How often a phase of a generation was committed as succeeded. */
  readonly #successes = new Map<string, number>();
  #mode: ClusterMode = 'open';
  #mostVms = LIMITS.vms;
  readonly builds: RequestedBuild[] = [];
  readonly cancelled = new Set<string>();

  constructor(farm: ModelFarm, { graph, reasons }: Pick<Scenario, 'reasons'> & { graph: readonly BuiltModule[] }) {
    this.#farm = farm;
    this.#graph = graph;
    this.#reasons = reasons;
  }

  get layerBuilds(): readonly { readonly id: string; readonly name: string }[] {
    return this.#expected.layerBuilds;
  }

  get #redis() {
    return this.#farm.unlucky;
  }

  get #store(): PhaseStore {
    return this.#farm.store;
  }

  async happen(happening: Happening, pick: number): Promise<void> {
    switch (happening) {
      case 'take':
        return this.#take();
      case 'advance':
        return void (await runScript(this.#redis, 'advance', [1]));
      case 'takeAndDie':
        return void (await takeReady(this.#redis, LAB));
      case 'claim':
        return this.#claim(pick);
      case 'succeed':
        return this.#end(pick, succeeded);
      case 'fail':
        return this.#end(pick, () => ({
          ...{ outcome: 'failed', failure: sampleFailure(this.#reasons[pick % this.#reasons.length] ?? 'Fault') },
        }));
      case 'requeue':
        return this.#end(pick, () => ({
          ...{ outcome: 'requeue', afterMs: 0, why: 'test' },
          ...(pick % 2 === 0 ? { isPlanned: true as const } : {}),
        }));
      case 'crash': {
        const [claim] = this.#running.splice(pick % Math.max(1, this.#running.length), 1);
        if (claim) this.#zombies.push(claim);
        return;
      }
      case 'zombie':
        return this.#wake(this.#zombies[pick % Math.max(1, this.#zombies.length)]);
      case 'repeat': {
        const [claim, result] = this.#done[pick % Math.max(1, this.#done.length)] ?? [];
        if (claim && result) await this.#store.commit(claim, result).catch(ignoreCancellation);
        return;
      }
      case 'halt':
        return this.#halt(pick);
      case 'sweep':
        return this.#sweep();
      case 'cancel': {
        if (pick >= 50) return;
        const build = this.builds[pick % this.builds.length]?.id ?? '';
        this.cancelled.add(build);
        return void (await runScript(this.#redis, 'cancel-build', [build, String(pick)]));
      }
      case 'submit':
        if (pick < 200 && this.builds.length < MOST_BUILDS) await this.submit(1 + (pick % this.#graph.length));
        return;
      case 'control':
        return this.#control(MODES[pick % MODES.length] ?? 'open', 1 + (pick % LIMITS.vms));
      case 'open':
        return this.#control('open', LIMITS.vms);
      case 'loseReply':
        return this.#farm.loseNextAnswer();
      case 'pass':
        return this.#pass(PASSES_MS[pick % PASSES_MS.length] ?? 0);
      case 'away':
      case 'back':
        return this.#away(happening === 'away');
    }
  }

  /** A build that wants the first modules of the graph, planned by what there is. */
  async submit(count: number): Promise<void> {
    const { layers } = await readLayers(this.#farm.calm);
    const known = new Set([...layers.values()].map(({ module }) => module));
    const modules = this.#graph.slice(0, count).map((module): SubmittedModule => {
      const { name, layerKey, why, dependsOn } = module;
      return known.has(name) ? { action: 'reuse', name, layerKey, why, dependsOn } : { ...module, layerBuild: newId() };
    });
    const id = newId();
    const request = { buildId: id, idempotencyKey: null, digest: '', retentionMs: 3_600_000, modules };
    const reply = await submitBuild(this.#redis, request);
    assert(reply.outcome === 'accepted', `The submission is ${reply.outcome}.`);
    const own = new Map(reply.modules.map(({ name, layerBuild }) => [name, layerBuild]));
    for (const { name, action, layerBuild } of reply.modules) {
      const module = this.#graph.find((each) => each.name === name);
      if (action !== 'build' || !layerBuild || !module) continue;
      const parents = module.dependsOn.flatMap((parent) => own.get(parent) ?? []);
      this.#expected.made(layerBuild, module, parents);
    }
    const layerBuilds = new Set([...own.values()].flatMap((layerBuild) => layerBuild ?? []));
    this.builds.push({ id, modules: [...own.keys()], layerBuilds });
  }

  /** Limits hold, nothing was done twice, and every layer build is as it must. */
  async check(): Promise<void> {
    const { calm } = this.#farm;
    const { imports, vms, cpu } = await readUsage(calm, 'lab');
    const isWithin = imports <= LIMITS.imports && vms <= LIMITS.vms && cpu <= LIMITS.cpu;
    assert(isWithin, `The farm counts ${imports} imports, ${vms} VMs, ${cpu} cores.`);
    assert(this.#machines.size <= LIMITS.vms, `The cluster shows ${this.#machines.size} machines.`);
    assert(
      [...this.#successes.values()].every((count) => count === 1),
      'A phase of a generation has succeeded twice.',
    );
    for (const { id, name } of this.layerBuilds) {
      const isCancelled = this.builds.every((build) => !build.layerBuilds.has(id) || this.cancelled.has(build.id));
      const [state, verdict, generation] = await calm.hmget(KEYS.layerBuild(id), 'state', 'verdict', 'generation');
      const seen = { generation: Number(generation), verdict: verdictOf(state ?? '', verdict ?? '') };
      const wrong = this.#expected.seen(id, seen, isCancelled);
      assert(wrong === null, `${name}: ${wrong}`);
    }
  }

  /** Everything goes well from here on, until nothing moves any more. */
  async drain(): Promise<void> {
    const { calm } = this.#farm;
    const isMoving = async () => (await calm.scard(KEYS.living)) + (await calm.hlen(KEYS.slots('lab'))) > 0;
    await this.#away(false);
    await this.#control('open', LIMITS.vms);
    for (let round = 0; await isMoving(); round += 1) {
      assert(round < 200, 'Works never end.');
      await advance(calm);
      await this.#sweep();
      await this.#take();
      while (this.#running.length > 0) await this.#end(0, succeeded);
      for (const job of [...this.#queue]) await this.#claim(this.#queue.indexOf(job));
      while (this.#running.length > 0) await this.#end(0, succeeded);
      for (let machine = 0; machine < 4; machine += 1) await this.#halt(machine);
      await this.check();
    }
    await advance(calm);
  }

  async #take(): Promise<void> {
    const before = await readUsage(this.#farm.calm, 'lab');
    const { jobs } = await takeReady(this.#redis, LAB);
    const { imports, vms } = await readUsage(this.#farm.calm, 'lab');
    assert(jobs.length === 0 || !this.#expected.isAway, 'Work is given to a cluster that is away.');
    assert(jobs.length === 0 || this.#mode !== 'paused', 'Work is given to a cluster that is paused.');
    const isDraining = this.#mode === 'draining' && (imports > before.imports || vms > before.vms);
    assert(!isDraining, 'Work is admitted to a cluster that is drained.');
    assert(vms <= Math.max(before.vms, this.#mostVms), `${vms} VMs are admitted, of ${this.#mostVms}.`);
    for (const job of jobs) {
      const id = jobId(job.reference);
      assert(!this.#queue.some((queued) => jobId(queued.reference) === id), `${id} is dispatched twice.`);
      this.#queue.push(job);
    }
    await confirmQueued(this.#redis, jobs);
  }

  async #claim(pick: number): Promise<void> {
    const job = this.#queue[pick % Math.max(1, this.#queue.length)];
    if (!job || this.#running.some((claim) => jobId(claim.job) === jobId(job.reference))) return;
    const claim = await this.#store.claim(job.reference, `worker-${pick}`);
    if (!claim) {
      this.#expected.refused(job.reference);
      this.#queue.splice(this.#queue.indexOf(job), 1);
      return;
    }
    const wrong = this.#expected.claimed(job.reference);
    assert(wrong === null, `${jobId(job.reference)}: ${wrong}`);
    this.#running.push(claim);
    if (job.reference.phase === 'boot-keystrokes')
      this.#machines.set(machineOf(claim), { ...job.reference, cpu: 1, memoryBytes: 1024 ** 3 });
  }

  async #end(pick: number, result: (claim: PhaseClaim) => PhaseResult): Promise<void> {
    const [claim] = this.#running.splice(pick % Math.max(1, this.#running.length), 1);
    if (!claim) return;
    const outcome = result(claim);
    const isCurrent = (await this.#standing(claim)) === 'current';
    await this.#store.commit(claim, outcome).catch(ignoreCancellation);
    this.#done.push([claim, outcome]);
    const others = this.#queue.filter((job) => jobId(job.reference) !== jobId(claim.job));
    this.#queue.splice(0, this.#queue.length, ...others);
    if (!isCurrent) return;
    this.#expected.committed(claim.job, outcome);
    if (outcome.outcome !== 'succeeded') return;
    const { layerBuild, generation, vm, phase } = claim.job;
    const name = [layerBuild, generation, vm, phase].join('/');
    this.#successes.set(name, (this.#successes.get(name) ?? 0) + 1);
  }

  /** An executor that was given up for dead continues: what it does counts for nothing. */
  async #wake(claim: PhaseClaim | undefined): Promise<void> {
    if (!claim || (await this.#standing(claim)) !== 'Superseded') return;
    const phases = () => this.#farm.calm.hgetall(KEYS.layerBuildPhases(claim.job.layerBuild));
    const before = await phases();
    await this.#store.commit(claim, succeeded(claim)).catch(ignoreCancellation);
    assert.deepEqual(await phases(), before);
  }

  /** The cluster stops a machine that it need not show any longer, and is asked what it shows. */
  async #halt(pick: number): Promise<void> {
    if (this.#expected.isAway) return;
    const { slots } = await readUsage(this.#farm.calm, 'lab');
    const leaving = slots.filter((slot) => slot.stage === 'leaving');
    const gone = leaving[pick % Math.max(1, leaving.length)];
    if (gone) this.#machines.delete(`${gone.layerBuild}/${gone.generation}/${gone.vm}`);
    await reportCluster(this.#redis, 'lab', { leaving, observed: [...this.#machines.values()] });
  }

  /** What the safety sweep does about jobs that BullMQ does not have. */
  async #sweep(): Promise<void> {
    const queued = new Set(this.#queue.map((job) => jobId(job.reference)));
    const lost: Dispatch[] = [];
    for await (const job of placedJobs(this.#farm.calm)) if (!queued.has(jobId(job.reference))) lost.push(job);
    for (const job of lost) {
      const again = await redispatch(this.#redis, job.reference);
      if (again) this.#queue.push(again);
      this.#expected.redispatched(job.reference);
    }
    await confirmQueued(this.#redis, this.#queue);
  }

  async #pass(ms: number): Promise<void> {
    await this.#farm.pass(ms);
    this.#expected.passed(ms);
    await endOverdue(this.#redis);
  }

  async #away(isAway: boolean): Promise<void> {
    await reportTrouble(this.#redis, 'lab', isAway ? 'It does not answer.' : null);
    this.#expected.away(isAway);
  }

  async #control(mode: ClusterMode, vms: number): Promise<void> {
    await changeControl(this.#redis, 'lab', { mode, limits: { vms } }, 'test');
    this.#mode = mode;
    this.#mostVms = vms;
  }

  /** `current`, or the code of the error that reports why it is not. */
  async #standing(claim: PhaseClaim): Promise<string> {
    return this.#store.assertCurrent(claim).then(
      () => 'current',
      (error: unknown) => {
        ignoreCancellation(error);
        return error instanceof FarmError ? error.code : '';
      },
    );
  }
}

function succeeded({ job }: { readonly job: JobReference }): PhaseResult {
  return job.phase === 'snapshot'
    ? { outcome: 'succeeded', layerVm: sampleLayerVm(job.vm, `s-${job.vm}`) }
    : { outcome: 'succeeded' };
}

function machineOf({ job }: PhaseClaim): string {
  return `${job.layerBuild}/${job.generation}/${job.vm}`;
}

function verdictOf(state: string, verdict: string): Verdict {
  if (state === 'queued' || state === 'running') return null;
  return (state === 'stopping' ? verdict : state) as Verdict;
}

function ignoreCancellation(error: unknown): undefined {
  if (!(error instanceof FarmError && error.kind === 'cancelled')) throw error;
}
