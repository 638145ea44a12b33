import * as fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import { sampleLayerVm, sampleModule } from '../../test/harness/sample-spec.ts';
import { useSmallPortions } from '../../test/harness/small-portions.ts';
import type { FarmEvent } from '../contracts/events.ts';
import type { FailureReason } from '../contracts/failures.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../contracts/phase-store.ts';
import { jobId, PHASES } from '../contracts/phases.ts';
import { FarmError } from '../errors/farm-error.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { confirmQueued, type Dispatch, placedJobs, redispatch, takeReady } from './dispatches.ts';
import { readPastEvents } from './event-streams.ts';
import { KEYS } from './keys.ts';
import { readLayers } from './layers.ts';
import { subscribeNotices } from './notices.ts';
import { createPhaseStore } from './phase-store.ts';
import { advertise } from './presence.ts';
import { runScript } from './scripts.ts';
import { type ObservedVm, readUsage, reportCluster } from './slots.ts';
import { type BuiltModule, submitBuild } from './submissions.ts';
import { advance } from './tasks.ts';

const LIMITS = { imports: 2, vms: 3, cpu: 3, memoryBytes: 8 * 1024 ** 3 };
const LAB = { cluster: 'lab', limits: LIMITS };
const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let server: RedisServer;
let redis: Redis;
let store: PhaseStore;

beforeAll(async () => {
  server = await startRedis();
  resources.defer('redis-server', () => server.stop());
  redis = await useRedis(resources, { url: server.url, logger }, 'producer');
  // So that long tasks are left over between any two events.
  useSmallPortions(redis);
  const listener = await useRedis(resources, { url: server.url, logger }, 'listener');
  store = createPhaseStore({ redis, notices: await subscribeNotices(listener, logger), firstBackoffMs: 0 });
});

afterAll(() => resources.close());

/** What may happen next; `pick` chooses among the candidates of the moment. */
const EVENTS = [
  'take',
  'takeAndDie',
  'claim',
  'succeed',
  'fail',
  'crash',
  'zombie',
  'repeat',
  'halt',
  'sweep',
  'cancel',
  'advance',
] as const;
/** Happens more often, so that work gets somewhere. */
const USUAL = ['take', 'claim', 'claim', 'succeed', 'succeed', 'halt'] as const;
const REASONS: readonly FailureReason[] = ['Fault', 'TypingInterrupted', 'StepFailed'];

/** Keys that hold nothing any more when every work has ended. */
const MOVING =
  /:(ready|lanes|ahead|layers-of|shapes|waiting|tasks|wants|submission|staged|delayed|placed|outbox|imports|slots|flights|living|children|deadlines|needed-by)(:|$)/;

const scenario = fc.record({
  /** Per module: how many VMs, and which of the modules before it are its parents. */
  modules: fc.array(
    fc.record({ vms: fc.integer({ min: 1, max: 3 }), parents: fc.array(fc.nat(7), { maxLength: 3 }) }),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  events: fc.array(fc.tuple(fc.constantFrom(...EVENTS, ...USUAL, ...USUAL), fc.nat(1000)), {
    minLength: 20,
    maxLength: 200,
    size: 'max',
  }),
});

/** Workers, queues, a cluster and two schedulers, reduced to what the farm's state sees of them. */
class World {
  /** What BullMQ holds: handed out again and again until it is completed. */
  readonly queue: Dispatch[] = [];
  readonly running: PhaseClaim[] = [];
  /** Executors that were given up for dead and are not. */
  readonly zombies: PhaseClaim[] = [];
  readonly done: [PhaseClaim, PhaseResult][] = [];
  readonly machines = new Map<string, ObservedVm>();
  /** How often a phase of a generation was committed as succeeded. */
  readonly successes = new Map<string, number>();
  readonly cancelled = new Set<string>();
  readonly builds: string[];

  constructor(builds: string[]) {
    this.builds = builds;
  }

  async happen(event: (typeof EVENTS)[number], pick: number): Promise<void> {
    switch (event) {
      case 'take':
        return this.take();
      case 'advance':
        return void (await runScript(redis, 'advance', [1]));
      case 'takeAndDie':
        return void (await takeReady(redis, LAB));
      case 'claim':
        return this.claim(pick);
      case 'succeed':
        return this.end(pick, (claim) => succeeded(claim));
      case 'fail':
        return this.end(pick, () => failed(REASONS[pick % REASONS.length] ?? 'Fault'));
      case 'crash': {
        const [claim] = this.running.splice(pick % Math.max(1, this.running.length), 1);
        if (claim) this.zombies.push(claim);
        return;
      }
      case 'zombie': {
        const claim = this.zombies[pick % Math.max(1, this.zombies.length)];
        if (!claim || (await standing(claim)) !== 'Superseded') return;
        const before = await redis.hgetall(KEYS.workPhases(claim.job.layerBuild));
        await store.commit(claim, succeeded(claim)).catch(ignoreCancellation);
        expect(await redis.hgetall(KEYS.workPhases(claim.job.layerBuild))).toEqual(before);
        return;
      }
      case 'repeat': {
        const [claim, result] = this.done[pick % Math.max(1, this.done.length)] ?? [];
        if (claim && result) await store.commit(claim, result).catch(ignoreCancellation);
        return;
      }
      case 'halt':
        return this.halt(pick);
      case 'sweep':
        return this.sweep();
      case 'cancel':
        if (pick >= 50) return;
        this.cancelled.add(this.builds[pick % this.builds.length] ?? '');
        await runScript(redis, 'cancel-build', [this.builds[pick % this.builds.length] ?? '', String(pick)]);
    }
  }

  async take(): Promise<void> {
    const { jobs } = await takeReady(redis, LAB);
    for (const job of jobs) {
      const id = jobId(job.reference);
      expect(this.queue.map((queued) => jobId(queued.reference))).not.toContain(id);
      this.queue.push(job);
    }
    await confirmQueued(redis, jobs);
  }

  async claim(pick: number): Promise<void> {
    const job = this.queue[pick % Math.max(1, this.queue.length)];
    if (!job || this.running.some((claim) => jobId(claim.job) === jobId(job.reference))) return;
    const claim = await store.claim(job.reference, `worker-${pick}`);
    if (!claim) this.queue.splice(this.queue.indexOf(job), 1);
    else {
      this.running.push(claim);
      if (job.reference.phase === 'boot-keystrokes')
        this.machines.set(machineOf(claim), { ...job.reference, cpu: 1, memoryBytes: 1024 ** 3 });
    }
  }

  async end(pick: number, result: (claim: PhaseClaim) => PhaseResult): Promise<void> {
    const [claim] = this.running.splice(pick % Math.max(1, this.running.length), 1);
    if (!claim) return;
    const outcome = result(claim);
    const current = (await standing(claim)) === 'current';
    await store.commit(claim, outcome).catch(ignoreCancellation);
    this.done.push([claim, outcome]);
    this.queue.splice(0, this.queue.length, ...this.queue.filter((job) => jobId(job.reference) !== jobId(claim.job)));
    if (!current || outcome.outcome !== 'succeeded') return;
    const { layerBuild, generation, vm, phase } = claim.job;
    const name = [layerBuild, generation, vm, phase].join('/');
    this.successes.set(name, (this.successes.get(name) ?? 0) + 1);
  }

  /** The cluster stops a machine that it need not show any longer, and is asked what it shows. */
  async halt(pick: number): Promise<void> {
    const { slots } = await readUsage(redis, 'lab');
    const leaving = slots.filter((slot) => slot.stage === 'leaving');
    const gone = leaving[pick % Math.max(1, leaving.length)];
    if (gone) this.machines.delete(`${gone.layerBuild}/${gone.generation}/${gone.vm}`);
    await reportCluster(redis, 'lab', { leaving, observed: [...this.machines.values()] });
  }

  /** What the safety sweep does about jobs that BullMQ does not have. */
  async sweep(): Promise<void> {
    const queued = new Set(this.queue.map((job) => jobId(job.reference)));
    const lost: Dispatch[] = [];
    for await (const job of placedJobs(redis)) if (!queued.has(jobId(job.reference))) lost.push(job);
    for (const job of lost) {
      const again = await redispatch(redis, job.reference);
      if (again) this.queue.push(again);
    }
    await confirmQueued(redis, this.queue);
  }

  async check(): Promise<void> {
    const { imports, vms, cpu } = await readUsage(redis, 'lab');
    expect({ imports, vms, cpu }).toEqual({
      imports: Math.min(imports, LIMITS.imports),
      vms: Math.min(vms, LIMITS.vms),
      cpu: Math.min(cpu, LIMITS.cpu),
    });
    expect(this.machines.size).toBeLessThanOrEqual(LIMITS.vms);
    expect([...this.successes.values()].every((count) => count === 1)).toBe(true);
  }

  /** Everything goes well from here on, until nothing moves any more. */
  async drain(): Promise<void> {
    const isMoving = async () => (await redis.scard(KEYS.living)) + (await redis.hlen(KEYS.slots('lab'))) > 0;
    for (let round = 0; await isMoving(); round += 1) {
      expect(round, 'rounds until every work has ended').toBeLessThan(200);
      await advance(redis);
      await this.sweep();
      await this.take();
      while (this.running.length > 0) await this.end(0, succeeded);
      for (const job of [...this.queue]) await this.claim(this.queue.indexOf(job));
      while (this.running.length > 0) await this.end(0, succeeded);
      for (let machine = 0; machine < 4; machine += 1) await this.halt(machine);
      await this.check();
    }
  }
}

function succeeded({ job }: PhaseClaim): PhaseResult {
  return job.phase === 'snapshot'
    ? { outcome: 'succeeded', layerVm: sampleLayerVm(job.vm, `s-${job.vm}`) }
    : { outcome: 'succeeded' };
}

function failed(reason: FailureReason): PhaseResult {
  return {
    outcome: 'failed',
    failure: { reason, message: 'It broke.', logTail: [], serialTail: [], hints: [], events: [], screenshot: false },
  };
}

function machineOf({ job }: PhaseClaim): string {
  return `${job.layerBuild}/${job.generation}/${job.vm}`;
}

/** `current`, or the code of the error that says why it is not. */
async function standing(claim: PhaseClaim): Promise<string> {
  return store.assertCurrent(claim).then(
    () => 'current',
    (error: unknown) => {
      ignoreCancellation(error);
      return error instanceof FarmError ? error.code : '';
    },
  );
}

function ignoreCancellation(error: unknown): undefined {
  if (!(error instanceof FarmError && error.kind === 'cancelled')) throw error;
}

let ulids = 0;
const newId = () => String(++ulids).padStart(26, '0');

function modulesOf(shape: readonly { readonly vms: number; readonly parents: readonly number[] }[]): BuiltModule[] {
  const modules: BuiltModule[] = [];
  for (const [index, { vms, parents }] of shape.entries()) {
    const chosen = [...new Set(parents.filter((parent) => parent < index))].flatMap((parent) => modules[parent] ?? []);
    const names = ['a', 'b', 'c'].slice(0, vms);
    modules.push(
      sampleModule({ name: `m${index}`, layerKey: `k${index}`, layerBuild: newId(), vms: names, parents: chosen }),
    );
  }
  return modules;
}

type Ended = Extract<FarmEvent, { event: 'module-finished' | 'build-finished' }>;

async function endings(buildId: string): Promise<Ended[]> {
  const events: Ended[] = [];
  for await (const event of readPastEvents(redis, { buildId, lastEventId: '0' })) {
    if (event.event === 'module-finished' || event.event === 'build-finished') events.push(event);
  }
  return events;
}

const SEEDS = [
  { name: 'the seed of always', runs: { numRuns: 30, seed: 42 } },
  { name: 'another seed each time', runs: { numRuns: 10 } },
];

test.each(SEEDS)(
  'whatever happens in whatever order, limits hold and every module of every build ends exactly once: $name',
  async ({ runs }) => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ modules, events }) => {
        await redis.flushall();
        for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: 'lab', capacity: 9 });
        const graph = modulesOf(modules);
        const builds = [newId(), newId()];
        for (const buildId of builds) {
          const again = graph.map((module) => ({
            ...module,
            layerBuild: buildId === builds[0] ? module.layerBuild : newId(),
          }));
          await submitBuild(redis, { buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules: again });
        }
        expect(await redis.scard(KEYS.living)).toBe(graph.length);
        const world = new World(builds);
        for (const [event, pick] of events) {
          await world.happen(event, pick);
          await world.check();
        }
        await world.drain();
        await advance(redis);
        for (const buildId of builds) {
          const ended = await endings(buildId);
          const modules = ended.filter((event) => event.event === 'module-finished');
          expect(ended.at(-1)).toMatchObject({ event: 'build-finished', modules: { length: graph.length } });
          expect(modules.map((event) => event.module).sort()).toEqual(graph.map((module) => module.name).sort());
          if (!world.cancelled.has(buildId)) expect(modules.map((event) => event.outcome)).not.toContain('cancelled');
        }
        const layers = [...(await readLayers(redis)).layers.values()];
        const states = await Promise.all(graph.map((module) => redis.hget(KEYS.work(module.layerBuild), 'state')));
        expect(layers.map((layer) => layer.module).sort()).toEqual(
          graph
            .filter((_, index) => states[index] === 'succeeded')
            .map((module) => module.name)
            .sort(),
        );
        for (const layer of layers) expect(layer.version).toBe(1);
        const left = (await redis.keys('*')).filter((key) => MOVING.test(key));
        expect(left).toEqual([]);
      }),
      { ...runs, endOnFailure: true },
    );
  },
  180_000,
);
