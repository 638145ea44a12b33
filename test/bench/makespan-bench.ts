import { systemClock } from '../../common/clock/clock.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { parseCatalog, readCatalog } from '../../common/redis/layers.ts';
import type { SubmittedModule } from '../../common/redis/submissions.ts';
import { expandGraph } from '../../scheduler/graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../../scheduler/graph/facts.ts';
import { compileSubmission } from '../../scheduler/planning/compile-submission.ts';
import { CLUSTER, startBenchFarm } from './bench-farm.ts';
import type { Measurement } from './measurement.ts';
import { createRandom, layeredModules } from './random-graph.ts';

const VMS = 64;
const IMPORTS = 32;
const LIMITS = { imports: IMPORTS, vms: VMS, cpu: VMS, memoryBytes: VMS * 1024 ** 3 };
/** Of a real phase that a millisecond stands for here. */
const REAL_SECONDS = 60 / 100;
/** Bounds of the simulated times, ms. */
const TIMES: Readonly<Record<Phase, readonly [least: number, most: number]>> = {
  import: [20, 100],
  'boot-keystrokes': [50, 150],
  provision: [100, 900],
  snapshot: [20, 80],
};

type PhaseTimes = Readonly<Record<Phase, number>>;
/** Simulated times by VM of a module. */
type ModuleTimes = ReadonlyMap<string, PhaseTimes>;

/**
 * How long a random graph of 2,000 modules takes on a cluster with limits, against what no scheduler can beat: the
 * longest chain, or all the time that machines hold their slots spread over the slots. At first nothing is known of the modules, then the
 * farm has learnt how long they last.
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
  const random = createRandom(7);
  const modules = layeredModules({ layers: 20, modulesPerLayer: 100 }, random);
  const submitted = submit(modules, machineSeconds);
  const times = new Map(submitted.map((module) => [layerBuildOf(module), timesOf(module, random)]));
  const bound = lowerBound(submitted, times);
  const work = ({ layerBuild, vm, phase }: { layerBuild: string; vm: string; phase: Phase }) =>
    systemClock.after(times.get(layerBuild)?.get(vm)?.[phase] ?? 0);
  const farm = await startBenchFarm({ limits: LIMITS, concurrency: VMS, work }, resources);
  const start = performance.now();
  await farm.build(submitted);
  const overBound = (performance.now() - start) / bound;
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const redis = await useRedis(resources, { url: farm.redisUrl, logger }, 'producer');
  const { machineSeconds: lasted } = parseCatalog(await readCatalog(redis, new Set()));
  return { overBound, learnt: new Map([...lasted].map(([name, seconds]) => [name, seconds * 1000 * REAL_SECONDS])) };
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
  const draw = ([least, most]: readonly [number, number]) => Math.round(least + random() * (most - least));
  const oneVm = () => Object.fromEntries(PHASES.map((phase) => [phase, draw(TIMES[phase])])) as PhaseTimes;
  return new Map(vms.map(({ name }) => [name, oneVm()]));
}

/** ms */
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
