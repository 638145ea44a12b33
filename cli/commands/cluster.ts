import { type Command, InvalidArgumentError } from 'commander';
import type { ClusterView } from '../../common/contracts/builds.ts';
import { type ClusterMode, labelText } from '../../common/contracts/cluster-control.ts';
import { parseCapacity } from '../../common/contracts/module/sizes.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { exactSize } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ListFlags extends ConnectionFlags {
  readonly json?: boolean;
}

const CONFIGURED = 'default';
type Limit = number | typeof CONFIGURED;

interface LimitFlags extends ConnectionFlags {
  readonly vms?: Limit;
  readonly imports?: Limit;
  readonly cpu?: Limit;
  readonly memory?: Limit;
}

/** Commands that set the mode of a cluster, with their output. */
const MODES: Readonly<
  Record<string, readonly [mode: ClusterMode, about: string, describeState: (view: ClusterView) => string]>
> = {
  cordon: [
    'cordoned',
    'place no new modules on a cluster',
    () => 'takes no new modules; the modules placed there continue',
  ],
  drain: ['draining', 'cordon a cluster and start no waiting modules there; running modules finish', drained],
  pause: ['paused', 'hand out no more jobs of a cluster; what waits there keeps its place', () => 'is paused'],
  resume: ['open', 'end cordon, drain or pause', () => 'takes modules again'],
};

export function register(program: Command): void {
  const command = program
    .command('cluster')
    .description('list clusters; cordon, drain, pause, label and limit them while the farm runs (needs an admin)');
  registerList(command);
  registerModes(command);
  registerLabel(command);
  registerLimit(command);
}

function registerList(command: Command): void {
  const list = command
    .command('list')
    .description('list the clusters with their modes, limits and labels')
    .option('--json', 'print one JSON object');
  addConnectionFlags(list).action(async ({ json, ...flags }: ListFlags) => {
    const clusters = await new FarmClient(requireFarm(flags)).clusters();
    if (json) printJson({ clusters });
    else printControls(clusters);
  });
}

function registerModes(command: Command): void {
  for (const [name, [mode, about, describeState]] of Object.entries(MODES)) {
    const change = command.command(name).description(about).argument('<cluster>', 'name of the cluster');
    addConnectionFlags(change).action(async (cluster: string, flags: ConnectionFlags) => {
      const view = await new FarmClient(requireFarm(flags)).changeCluster(cluster, { mode });
      printLine(`The cluster ${cluster} ${describeState(view)}.`);
    });
  }
}

function registerLabel(command: Command): void {
  const label = command
    .command('label')
    .description('set and remove labels that modules ask for by placement.clusterLabels')
    .argument('<cluster>', 'name of the cluster')
    .argument('<labels...>', 'KEY=VALUE sets a label, KEY- removes it');
  addConnectionFlags(label).action(async (cluster: string, words: readonly string[], flags: ConnectionFlags) => {
    const change = { labels: Object.fromEntries(words.map(readLabel)) };
    const { labels } = await new FarmClient(requireFarm(flags)).changeCluster(cluster, change);
    printLine(`The labels of the cluster ${cluster}: ${labelText(labels) || 'none'}.`);
  });
}

function registerLimit(command: Command): void {
  const limit = command
    .command('limit')
    .description('change what the farm may use of a cluster; "default" restores the configured limit')
    .argument('<cluster>', 'name of the cluster')
    .option('--vms <n>', 'virtual machines that may exist at once', toCount)
    .option('--imports <n>', 'imports that may run at once', toCount)
    .option('--cpu <n>', 'cores that the machines may have together', toNumber)
    .option('--memory <size>', 'memory that they may have together, such as 64Gi', toBytes);
  addConnectionFlags(limit).action(
    async (cluster: string, { vms, imports, cpu, memory: memoryBytes, ...flags }: LimitFlags) => {
      const changed = Object.entries({ vms, imports, cpu, memoryBytes }).filter(([, value]) => value !== undefined);
      if (changed.length === 0) {
        throw new FarmError('InvalidRequest', 'No limit is given: use --vms, --imports, --cpu or --memory.');
      }
      const limits = changed.map(([name, value]) => [name, value === CONFIGURED ? null : value]);
      const change = { limits: Object.fromEntries(limits) };
      printControls([await new FarmClient(requireFarm(flags)).changeCluster(cluster, change)]);
    },
  );
}

function drained({ inUse: { vms, imports } }: ClusterView): string {
  if (vms + imports === 0) return 'is drained: no machine or import of the farm runs there';
  const machines = `${vms} ${vms === 1 ? 'machine' : 'machines'}`;
  return `is being drained: ${machines} and ${imports} ${imports === 1 ? 'import' : 'imports'} still run`;
}

function printControls(clusters: readonly ClusterView[]): void {
  printTable(
    ['cluster', 'mode', 'vms', 'imports', 'cpu', 'memory', 'labels', 'changed by'],
    clusters.map(({ name, mode, inUse, limits, configured, labels, changed }) => {
      const of = (limit: keyof typeof limits, show: (value: number) => string = String) => {
        const was = limits[limit] === configured[limit] ? '' : ` (${show(configured[limit])})`;
        return `${show(limits[limit])}${was}`;
      };
      return [
        ...[name, mode, `${inUse.vms}/${of('vms')}`, `${inUse.imports}/${of('imports')}`, `${inUse.cpu}/${of('cpu')}`],
        ...[of('memoryBytes', exactSize), labelText(labels) || '-', changed?.by ?? '-'],
      ];
    }),
  );
}

function readLabel(word: string): [string, string | null] {
  const [, key = '', value] = /^([^=]+)=(.*)$/.exec(word) ?? [];
  if (value !== undefined) return [key, value];
  if (word.endsWith('-')) return [word.slice(0, -1), null];
  throw new FarmError('InvalidRequest', `"${word}" does not change a label: write KEY=VALUE, or KEY- to remove it.`);
}

function toNumber(text: string): Limit {
  if (text === CONFIGURED) return text;
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError(`Write a number above 0, or "${CONFIGURED}".`);
  return value;
}

function toCount(text: string): Limit {
  const value = toNumber(text);
  if (value !== CONFIGURED && !Number.isInteger(value)) throw new InvalidArgumentError('Write a whole number.');
  return value;
}

function toBytes(text: string): Limit {
  if (text === CONFIGURED) return text;
  const parsed = parseCapacity(text);
  if ('complaint' in parsed) throw new InvalidArgumentError(`It ${parsed.complaint}.`);
  return parsed.value;
}
