import type { Phase } from '../../common/contracts/phases.ts';
import type { BuiltModule } from '../../common/redis/write-submission.ts';
import { createRandom } from '../bench/random-graph.ts';
import { sampleModule } from '../harness/sample-spec.ts';

/** What is simulated; the same scenario and seed give the same run. */
export interface Scenario {
  readonly seed: number;
  readonly clusters: number;
  readonly modulesPerCluster: number;
  readonly owners: number;
  /** Machines of a cluster. @defaultValue drawn, 4 to 32 */
  readonly slots?: number;
  /** Machines of a module are drawn from 1 to this. @defaultValue 3 */
  readonly machines?: number;
  /** Clusters that go away once, each for 2, 10 or 60 minutes. */
  readonly outages: number;
  /** Share of phases whose worker is lost once. */
  readonly losses: number;
}

/** When a cluster does not answer, ms. */
export interface Outage {
  readonly from: number;
  readonly until: number;
}

/** A cluster with all that it is to build. */
export interface SimulatedCluster {
  readonly name: string;
  readonly limits: {
    readonly imports: number;
    readonly vms: number;
    readonly cpu: number;
    readonly memoryBytes: number;
  };
  readonly outage: Outage | null;
  /** By owner, parents first. */
  readonly builds: ReadonlyMap<string, readonly BuiltModule[]>;
}

export type PhaseTimes = Readonly<Record<Phase, number>>;

const MINUTE = 60_000;
const GiB = 1024 ** 3;
/** Medians, ms; the times themselves are spread to both sides, some of them far to the long one. */
const USUAL: PhaseTimes = {
  import: MINUTE,
  'boot-keystrokes': 2 * MINUTE,
  provision: 10 * MINUTE,
  snapshot: 0.5 * MINUTE,
};
const OUTAGES = [2 * MINUTE, 10 * MINUTE, 60 * MINUTE];
const LAYERS = 5;

export interface Plan {
  readonly clusters: readonly SimulatedCluster[];
  /** `<layerBuild>/<vm>` to how long its phases take. */
  readonly times: ReadonlyMap<string, PhaseTimes>;
  readonly random: () => number;
}

/** Draws graphs full of diamonds, with one to three machines a module, and how long each phase of each machine takes. */
export function draw(scenario: Scenario): Plan {
  const random = createRandom(scenario.seed);
  const times = new Map<string, PhaseTimes>();
  let ids = 0;
  const clusters = Array.from({ length: scenario.clusters }, (_, index): SimulatedCluster => {
    const name = `c${index}`;
    const vms = scenario.slots ?? 4 + Math.floor(random() * 29);
    const length = OUTAGES[index % OUTAGES.length] ?? 0;
    const from = 20 * MINUTE + random() * 60 * MINUTE;
    const share = Math.ceil(scenario.modulesPerCluster / scenario.owners);
    const builds = Array.from({ length: scenario.owners }, (_owner, owner) => {
      const order = { cluster: name, prefix: `${name}-o${owner}`, count: share, machines: scenario.machines ?? 3 };
      const modules = drawModules(order, random, () => {
        ids += 1;
        return String(ids).padStart(26, '0');
      });
      for (const module of modules) {
        for (const vm of module.spec.vms) times.set(`${module.layerBuild}/${vm.name}`, drawTimes(random));
      }
      return [`owner${owner}`, withPriorities(modules)] as const;
    });
    return {
      name,
      limits: { imports: Math.ceil(vms / 4) + 2, vms, cpu: vms, memoryBytes: vms * GiB },
      outage: index < scenario.outages ? { from, until: from + length } : null,
      builds: new Map(builds),
    };
  });
  return { clusters, times, random };
}

function drawModules(
  {
    cluster,
    prefix,
    count,
    machines,
  }: { readonly cluster: string; readonly prefix: string; readonly count: number; readonly machines: number },
  random: () => number,
  newId: () => string,
): BuiltModule[] {
  const width = Math.max(1, Math.ceil(count / LAYERS));
  const modules: BuiltModule[] = [];
  for (let index = 0; index < count; index += 1) {
    const below = Math.floor(index / width) - 1;
    const parentOf = () => modules[below * width + Math.floor(random() * width)];
    const parents = below < 0 ? [] : [...new Set([parentOf(), parentOf()])].filter((parent) => parent !== undefined);
    const name = `${prefix}-m${index}`;
    const vms = Array.from({ length: 1 + Math.floor(random() * machines) }, (_, number) => `vm${number}`);
    modules.push(sampleModule({ name, layerKey: name, layerBuild: newId(), vms, parents, cluster, timeoutMs: 0 }));
  }
  return modules;
}

/** As the planner gives them: how far it is from a module to the end of its graph, by what is usual. */
function withPriorities(modules: readonly BuiltModule[]): BuiltModule[] {
  const length = Object.values(USUAL).reduce((total, ms) => total + ms, 0) / 1000;
  const ways = new Map<string, number>();
  for (const module of modules.toReversed()) {
    const way = (ways.get(module.name) ?? 0) + length;
    ways.set(module.name, way);
    for (const parent of module.dependsOn) ways.set(parent, Math.max(ways.get(parent) ?? 0, way));
  }
  return modules.map((module) => ({ ...module, priority: Math.round(ways.get(module.name) ?? 0) }));
}

function drawTimes(random: () => number): PhaseTimes {
  // Between a third and three times the median, one in twenty ten times as long.
  const spread = () => 3 ** (2 * random() - 1) * (random() < 0.05 ? 10 : 1);
  const entries = Object.entries(USUAL).map(([phase, ms]) => [phase, Math.round(ms * spread())]);
  return Object.fromEntries(entries) as PhaseTimes;
}

/** ms: the longest chain of a cluster, or the time that machines hold slots spread over all slots. */
export function lowerBound({ limits, builds }: SimulatedCluster, times: Plan['times']): number {
  const ends = new Map<string, number>();
  let slotMs = 0;
  for (const modules of builds.values()) {
    for (const module of modules) {
      const vms = module.spec.vms.map(({ name }) => times.get(`${module.layerBuild}/${name}`)).filter((vm) => !!vm);
      const longest = (of: (vm: PhaseTimes) => number) => Math.max(...vms.map(of));
      const provisioned = longest((vm) => vm['boot-keystrokes'] + vm.provision);
      for (const vm of vms) slotMs += provisioned + vm.snapshot;
      const ready = Math.max(0, ...module.dependsOn.map((parent) => ends.get(parent) ?? 0));
      ends.set(module.name, ready + longest((vm) => vm.import) + provisioned + longest((vm) => vm.snapshot));
    }
  }
  return Math.max(...ends.values(), slotMs / limits.vms);
}
