import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { EQUAL_OWNERS } from '../../common/contracts/owners.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Dispatch } from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { parseCatalog, readCatalog } from '../../common/redis/layers.ts';
import { readUsage, reportCluster } from '../../common/redis/slots.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import type { SubmittedModule } from '../../common/redis/write-submission.ts';
import { createDispatch } from '../../scheduler/dispatch/dispatcher.ts';
import { expandGraph } from '../../scheduler/graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../../scheduler/graph/facts.ts';
import { compileSubmission } from '../../scheduler/planning/compile-submission.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';
import { startVirtualFarm } from '../harness/virtual-farm.ts';
import { EventQueue } from '../simulate/event-queue.ts';
import { CLUSTER } from './bench-farm.ts';
import type { Measurement } from './measurement.ts';
import { createRandom, layeredModules } from './random-graph.ts';

const VMS = 64;
const IMPORTS = 32;
const LIMITS = { imports: IMPORTS, vms: VMS, cpu: VMS, memoryBytes: VMS * 1024 ** 3 };
const BUILD = 'makespan';
const RETENTION_MS = 30 * 24 * 3_600_000;
/** Bounds of the simulated times, seconds. */
const TIMES: Readonly<Record<Phase, readonly [least: number, most: number]>> = {
  import: [12, 60],
  'boot-keystrokes': [30, 90],
  provision: [60, 540],
  snapshot: [12, 48],
};

type PhaseTimes = Readonly<Record<Phase, number>>;
/** Simulated times by VM of a module, ms. */
type ModuleTimes = ReadonlyMap<string, PhaseTimes>;

/**
 * How long a random graph of 2,000 modules takes on a cluster with limits, against what no scheduler can beat: the
 * longest chain, or all the time that machines hold their slots spread over the slots. At first nothing is known of the modules, then the
 * farm has learnt how long they last. Scripts and dispatcher are the real ones; time is virtual, so it is their decisions that count,
 * and not the speed of this machine: what a job costs is measured by the bench `cost`.
 */
export async function* benchMakespan(): AsyncGenerator<Measurement> {
  const unknown = await measure(new Map());
  const what = 'makespan of 2,000 modules against its lower bound';
  yield { what: `${what}, new ones`, value: unknown.overBound, unit: 'x', target: '' };
  const known = await measure(unknown.learnt);
  yield { what: `${what}, built before`, value: known.overBound, unit: 'x', target: '<= 1.05 x' };
}

/** `learnt`: how long machines of the modules held their slots, seconds. */
async function measure(machineSeconds: ReadonlyMap<string, number>) {
  await using resources = new ReleaseStack();
  const { redis, time, store, logger } = await startVirtualFarm(resources);
  const random = createRandom(7);
  const modules = submit(layeredModules({ layers: 20, modulesPerLayer: 100 }, random), machineSeconds);
  const times = new Map(modules.map((module) => [layerBuildOf(module), timesOf(module, random)]));
  const queue: Dispatch[] = [];
  const queues = { add: async (jobs: readonly Dispatch[]) => void queue.push(...jobs) };
  const look = createDispatch({ redis, queues, logger, owners: EQUAL_OWNERS }, { name: CLUSTER, limits: LIMITS });
  const events = new EventQueue();
  let now = 0;

  async function dispatch(): Promise<void> {
    while ((await look()) === 0);
    for (const { reference } of queue.splice(0)) {
      const claim = await store.claim(reference, 'w');
      const { layerBuild, vm, phase } = reference;
      if (claim) events.add(now + (times.get(layerBuild)?.get(vm)?.[phase] ?? 0), () => end(claim));
    }
  }

  async function end(claim: PhaseClaim): Promise<void> {
    const { phase, vm, layerBuild } = claim.job;
    const isLast = phase === 'snapshot';
    await store.commit(claim, { outcome: 'succeeded', ...(isLast ? { layerVm: sampleLayerVm(vm, layerBuild) } : {}) });
    if (isLast) {
      // Machines are gone as soon as the farm is done with them.
      const leaving = (await readUsage(redis, CLUSTER)).slots.filter(({ stage }) => stage === 'leaving');
      await reportCluster(redis, CLUSTER, { leaving, observed: [] });
    }
    await dispatch();
  }

  for (const phase of PHASES)
    await redis.hset(KEYS.workers(CLUSTER), `${phase}/w`, `${VMS} ${Number.MAX_SAFE_INTEGER}`);
  await submitBuild(redis, { buildId: BUILD, idempotencyKey: null, digest: '', retentionMs: RETENTION_MS, modules });
  await dispatch();
  for (let event = events.next(); event; event = events.next()) {
    if (event.at > now) await time.pass(event.at - now);
    now = event.at;
    await event.run();
  }
  assert((await redis.hget(KEYS.build(BUILD), 'state')) === 'succeeded', 'The whole graph is built.');
  const { machineSeconds: learnt } = parseCatalog(await readCatalog(redis, new Set()));
  return { overBound: now / lowerBound(modules, times), learnt };
}

function submit(modules: readonly CompiledModule[], machineSeconds: ReadonlyMap<string, number>): SubmittedModule[] {
  let ids = 0;
  const fingerprint = (secret: string) => secret;
  const graph = expandGraph({ modules, facts: offlineFacts(modules), catalog: EMPTY_CATALOG, fingerprint });
  return compileSubmission({
    graph,
    clusterOf: new Map(modules.map(({ name }) => [name, CLUSTER])),
    networks: {},
    blobsUrlOf: () => null,
    namespaceOf: () => 'slipway',
    secrets: {},
    seal: fingerprint,
    newId: () => String(++ids).padStart(26, '0'),
    machineSeconds,
  });
}

function layerBuildOf(module: SubmittedModule): string {
  return module.action === 'reuse' ? '' : module.layerBuild;
}

function timesOf(module: SubmittedModule, random: () => number): ModuleTimes {
  const vms = module.action === 'reuse' ? [] : module.spec.vms;
  const draw = ([least, most]: readonly [number, number]) => Math.round(1_000 * (least + random() * (most - least)));
  const oneVm = () => Object.fromEntries(PHASES.map((phase) => [phase, draw(TIMES[phase])])) as PhaseTimes;
  return new Map(vms.map(({ name }) => [name, oneVm()]));
}

/** Of the makespan, ms. */
function lowerBound(modules: readonly SubmittedModule[], times: ReadonlyMap<string, ModuleTimes>): number {
  const ends = new Map<string, number>();
  let slotMs = 0;
  for (const module of modules) {
    const vms = [...(times.get(layerBuildOf(module))?.values() ?? [])];
    const longest = (of: (vm: PhaseTimes) => number) => Math.max(...vms.map(of));
    // Machines start together, and are captured when all of them have been provisioned.
    const provisioned = longest((vm) => vm['boot-keystrokes'] + vm.provision);
    for (const vm of vms) slotMs += provisioned + vm.snapshot;
    const ready = Math.max(0, ...module.dependsOn.map((parent) => ends.get(parent) ?? 0));
    ends.set(module.name, ready + longest((vm) => vm.import) + provisioned + longest((vm) => vm.snapshot));
  }
  return Math.max(...ends.values(), slotMs / VMS);
}
