import type { Command } from 'commander';
import type { BuildView, VmView } from '../../common/contracts/builds.ts';
import { seconds } from '../../common/text/durations.ts';
import { printable } from '../../common/text/printable.ts';
import { waitingWords } from '../../common/text/waiting.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { describeFailure, describeHandbuild, isSkipped } from '../output/build-lines.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface PsFlags extends ConnectionFlags {
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('ps')
    .description('show the builds of the farm, or one of them in full, and who holds its slots')
    .argument('[build]', 'id of a build')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (id: string | undefined, flags: PsFlags) => {
    const client = new FarmClient(requireFarm(flags));
    await (id === undefined ? listBuilds(client, flags) : showBuild(await client.build(id), flags));
  });
}

async function listBuilds(client: FarmClient, { json }: PsFlags): Promise<void> {
  const [builds, clusters] = await Promise.all([client.builds(), client.clusters()]);
  if (json) {
    printJson({ builds, clusters });
    return;
  }
  printTable(
    ['build', 'state', 'modules', 'created', 'took'],
    builds.map(({ buildId, state, modules, createdAt, finishedAt }) => [
      buildId,
      state,
      modules.map((module) => `${module.name} ${module.state}`).join(', '),
      new Date(createdAt).toISOString(),
      seconds((finishedAt ?? Date.now()) - createdAt),
    ]),
  );
  printLine('');
  printTable(
    ['cluster', 'healthy', 'vms', 'imports', 'cpu', 'held by'],
    clusters.map(({ name, healthy, message, limits, inUse, holders }) => [
      name,
      healthy ? 'yes' : `no: ${message ?? ''}`,
      `${inUse.vms}/${limits.vms}`,
      `${inUse.imports}/${limits.imports}`,
      `${inUse.cpu}/${limits.cpu}`,
      holders.map((holder) => `${holder.module} (${holder.vms})`).join(', '),
    ]),
  );
}

function showBuild(build: BuildView, { json }: PsFlags): void {
  if (json) {
    printJson(build);
    return;
  }
  printLine(`Build ${build.buildId}: ${build.state}\n`);
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
    for (const failure of failures) printLine(`\n${module.name}\n${describeFailure(failure).join('\n')}`);
    for (const { vm, phases } of module.vms) {
      const waiting = phases.find((phase) => phase.waiting)?.waiting;
      if (!waiting) continue;
      const times = `${seconds(Date.now() - waiting.since)}, given up in ${seconds(waiting.deadline - Date.now())}`;
      printLine(`\n${module.name}/${vm} waits: ${waitingWords(waiting)} in ${times}`);
    }
    for (const { vm, handbuild } of module.vms) {
      if (!handbuild) continue;
      const name = handbuild.name === null ? '' : ` "${printable(handbuild.name)}"`;
      printLine(`\n${module.name}/${vm}: step ${handbuild.step + 1}${name} waits for you:`);
      printLine(describeHandbuild(handbuild.instructions, { buildId: build.buildId, vm }).join('\n'));
    }
    for (const vm of module.vms) if (vm.screenshot) printLine(`  screen of ${vm.vm}: ${vm.screenshot}`);
  }
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
