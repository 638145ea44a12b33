import { type Command, InvalidArgumentError } from 'commander';
import {
  type BuildState,
  type BuildSummary,
  type BuildView,
  buildStateSchema,
  type ModuleCounts,
  type VmView,
} from '../../common/contracts/builds.ts';
import { seconds } from '../../common/text/durations.ts';
import { printable } from '../../common/text/printable.ts';
import { waitingWords } from '../../common/text/waiting.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { describeFailure, describeHandbuild, isSkipped, waitsHow } from '../output/build-lines.ts';
import { printBuilds, printClusters, printRuns } from '../output/build-list.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { printWaits } from '../output/waits.ts';
import { addConnectionFlags, collectList } from './shared-flags.ts';

interface PsFlags extends ConnectionFlags {
  readonly json?: boolean;
  readonly state?: readonly BuildState[];
  readonly module?: readonly string[];
  readonly by?: string;
  readonly search?: string;
  readonly mine?: boolean;
  readonly why?: boolean;
  readonly limit: number;
}

export function register(program: Command): void {
  const states = buildStateSchema.options.join(', ');
  const command = program
    .command('ps')
    .description('show the builds of the farm, or one of them in full, and who holds its slots')
    .argument('[build]', 'id of a build, or the beginning or end of the id')
    .option('--state <states>', `only builds in these states: ${states} (commas; repeatable)`, collectStates)
    .option('--module <names>', 'only builds with one of these modules (commas; repeatable)', collectList)
    .option('--by <token>', 'only builds that were submitted with the token of that name')
    .option('--search <text>', 'only builds with this in their id, the name of their token or of a module')
    .option('--mine', 'only builds that were submitted with the token of this command')
    .option('-n, --limit <n>', 'how many builds to show, newest first', toPositive, 20)
    .option('--why', 'show what each module waits for, its position, and an estimate')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (id: string | undefined, flags: PsFlags) => {
    const client = new FarmClient(requireFarm(flags));
    if (flags.why) await explain(client, id, flags);
    else if (id === undefined) await listBuilds(client, flags);
    else showBuild(await client.build(await resolveBuild(client, id)), flags);
  });
}

async function listBuilds(client: FarmClient, flags: PsFlags): Promise<void> {
  const by = await byOf(client, flags);
  const [builds, runs, clusters] = await Promise.all([
    findBuilds(client, { ...flags, by, clones: 'false' }),
    client.runs(),
    client.clusters(),
  ]);
  if (flags.json) {
    printJson({ builds, runs, clusters });
    return;
  }
  printBuilds(builds, Date.now());
  if (runs.length > 0) printLine('');
  printRuns(runs, Date.now());
  printLine('');
  printClusters(clusters);
}

/** Of one build, or of all that continue. */
async function explain(client: FarmClient, id: string | undefined, flags: PsFlags): Promise<void> {
  const ids = id === undefined ? await findGoing(client, flags) : [await resolveBuild(client, id)];
  const builds = await Promise.all(ids.map(async (buildId) => ({ buildId, waits: await client.waiting(buildId) })));
  if (flags.json) printJson({ builds });
  else printWaits(builds, Date.now());
}

async function findGoing(client: FarmClient, flags: PsFlags): Promise<string[]> {
  const going = { ...flags, state: ['queued', 'running'], by: await byOf(client, flags), clones: 'true' } as const;
  return (await findBuilds(client, going)).map(({ buildId }) => buildId);
}

async function byOf(client: FarmClient, { mine, by }: PsFlags): Promise<string | undefined> {
  return mine ? (await client.identity()).name : by;
}

async function findBuilds(
  client: FarmClient,
  {
    state,
    module,
    by,
    search,
    limit,
    clones,
  }: Pick<PsFlags, 'state' | 'module' | 'search' | 'limit'> & {
    readonly by: string | undefined;
    readonly clones: 'true' | 'false';
  },
): Promise<BuildSummary[]> {
  const found: BuildSummary[] = [];
  const query = {
    clones,
    ...(state ? { state: state.join(',') } : {}),
    ...(by === undefined ? {} : { by }),
    ...(search === undefined ? {} : { search }),
  };
  for await (const build of client.allBuilds(query)) {
    if (module && !build.modules.some(({ name }) => module.includes(name))) continue;
    found.push(build);
    if (found.length === limit) break;
  }
  return found;
}

function collectStates(text: string, former: readonly BuildState[] = []): readonly BuildState[] {
  return [
    ...former,
    ...collectList(text).map((word) => {
      const state = buildStateSchema.safeParse(word);
      if (!state.success) throw new InvalidArgumentError(`The states are ${buildStateSchema.options.join(', ')}.`);
      return state.data;
    }),
  ];
}

function toPositive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}

function showBuild(build: BuildView, { json }: PsFlags): void {
  if (json) {
    printJson(build);
    return;
  }
  const by = build.submittedBy === null ? '' : `, submitted by ${build.submittedBy}`;
  printLine(`Build ${build.buildId}: ${build.state}${by}${howFar(build.counts)}\n`);
  const rows = build.modules.flatMap((module) =>
    module.vms.length === 0
      ? [[module.name, '', module.state, module.action, '']]
      : module.vms.map((vm) => [
          ...[module.name, vm.vm, isSkipped(module) ? 'skipped' : module.state, module.action],
          phaseSummary(vm),
        ]),
  );
  printTable(['module', 'vm', 'state', 'action', 'phases'], rows);
  for (const module of build.modules) {
    if (isSkipped(module)) {
      printLine(`\n${module.name}: skipped. ${printable(module.failure?.message ?? '')}`);
      continue;
    }
    const failures = [module.failure, ...module.vms.map((vm) => vm.failure)].filter((failure) => failure !== null);
    // That of the machine that failed is the module's as well.
    const texts = new Set(failures.map((failure) => describeFailure(failure).join('\n')));
    for (const text of texts) printLine(`\n${module.name}\n${text}`);
    for (const { vm, phases } of module.vms) {
      const waiting = phases.find((phase) => phase.waiting)?.waiting;
      if (!waiting) continue;
      const times = `${seconds(Date.now() - waiting.since)}, given up in ${seconds(Math.max(0, waiting.deadline - Date.now()))}`;
      printLine(`\n${module.name}/${vm} waits: ${waitingWords(waiting)} in ${times}`);
    }
    for (const { vm, handbuild } of module.vms) {
      if (!handbuild) continue;
      const name = handbuild.name === null ? '' : ` "${printable(handbuild.name)}"`;
      printLine(`\n${module.name}/${vm}: step ${handbuild.step + 1}${name} ${waitsHow(handbuild.kept)}:`);
      printLine(describeHandbuild(handbuild, { buildId: build.buildId, vm }).join('\n'));
    }
    for (const vm of module.vms) if (vm.screenshot) printLine(`  screen of ${vm.vm}: ${vm.screenshot}`);
  }
}

function howFar({ all, open, ...ended }: ModuleCounts): string {
  if (all === 1) return '';
  const ends = (['succeeded', 'failed', 'cancelled'] as const).filter((outcome) => ended[outcome] > 0);
  const words = [...ends.map((outcome) => `${ended[outcome]} ${outcome}`), ...(open > 0 ? [`${open} to go`] : [])];
  return `; ${words.join(', ')} of ${all} modules`;
}

function phaseSummary(vm: VmView): string {
  return vm.phases
    .filter(({ state }) => state !== 'waiting')
    .map(({ phase, state, startedAt, finishedAt }) =>
      state === 'succeeded' && startedAt !== null && finishedAt !== null
        ? `${phase} ${seconds(finishedAt - startedAt)}`
        : `${phase} ${state}`,
    )
    .join(', ');
}
