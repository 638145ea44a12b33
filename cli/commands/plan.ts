import { createHmac } from 'node:crypto';
import type { Command } from 'commander';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors } from '../../common/contracts/module/problem.ts';
import { OWN_MODULES } from '../../common/contracts/module/yaml-limits.ts';
import type { Plan } from '../../common/contracts/plans.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { printable } from '../../common/text/printable.ts';
import { surveyGraph } from '../../scheduler/graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../../scheduler/graph/facts.ts';
import { selectModules } from '../../scheduler/graph/select-modules.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { type BuildOptions, FarmClient } from '../client/farm-client.ts';
import { problemsOf } from '../client/refusal.ts';
import { type Prepared, prepareSubmission } from '../local-files/prepare-submission.ts';
import { counted, paint, printJson, printLine, printNote } from '../output/print.ts';
import { printProblems } from '../output/problems.ts';
import { printTable } from '../output/table.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { readModuleFiles } from '../read-modules.ts';
import { readVariables } from '../read-variables.ts';
import { addConnectionFlags, addModuleFlags, collectList, type ModuleFlags } from './shared-flags.ts';

/** A prefix of a layerKey that distinguishes it, as with commits. */
const SHORT_KEY = 12;

interface PlanFlags extends ConnectionFlags, ModuleFlags {
  readonly offline?: boolean;
  readonly json?: boolean;
  readonly cache: boolean;
  readonly rebuild?: readonly string[];
  readonly only?: readonly string[];
}

/** A plan, or the reason why it failed. */
type Outcome = { readonly plan: Plan } | { readonly problems: readonly Problem[] };

export function register(program: Command): void {
  const command = program
    .command('plan')
    .description('show what a build would do, without changing anything')
    .argument('<path...>', 'module files or folders; - reads standard input')
    .option('--offline', 'do not ask a farm: no module counts as built')
    .option('--no-cache', 'plan to build every module, even if its layer exists')
    .option(
      '--rebuild <modules>',
      'plan to build these, and what starts from them, again (commas; repeatable)',
      collectList,
    )
    .option('--only <modules>', 'plan these and what they start from, and no others (commas; repeatable)', collectList)
    .option('--json', 'print one JSON object');
  addModuleFlags(addConnectionFlags(command)).action(async (paths: string[], flags: PlanFlags) => {
    process.exitCode = await plan(paths, flags);
  });
}

/** Exit code 0 with a plan, 1 without. */
async function plan(paths: readonly string[], flags: PlanFlags): Promise<number> {
  const outcome = await planFiles(paths, flags);
  if ('problems' in outcome) {
    printProblems(outcome.problems, flags.json ?? false);
    return 1;
  }
  if (flags.json) printJson(outcome.plan);
  else printPlan(outcome.plan);
  return 0;
}

async function planFiles(paths: readonly string[], flags: PlanFlags): Promise<Outcome> {
  const files = readModuleFiles(paths);
  const options = { noCache: !flags.cache, rebuild: flags.rebuild ?? [], only: flags.only ?? [] };
  try {
    const search = { variables: readVariables(files, flags), allowOutside: flags.allowOutside ?? false };
    const prepared = await prepareSubmission(files, search, new TransferLine(process.stderr));
    return flags.offline ? planOffline(prepared, options) : await planOnline(prepared, options, flags);
  } catch (error) {
    const problems = problemsOf(error);
    if (problems.length === 0) throw error;
    return { problems };
  }
}

/** The farm's own plan, which knows the existing layers; without an answer, the offline plan. */
async function planOnline(prepared: Prepared, options: BuildOptions, flags: PlanFlags): Promise<Outcome> {
  try {
    return { plan: await new FarmClient(requireFarm(flags)).plan(prepared.submission, options) };
  } catch (error) {
    if (error instanceof FarmError && error.code === 'FarmUnreachable') {
      printNote(`${paint('yellow', 'warning:', process.stderr)} ${printable(errorMessage(error))} Planned offline.`);
      return planOffline(prepared, options);
    }
    throw error;
  }
}

/** The plan of a farm without any layers; facts that only the farm knows become warnings. */
function planOffline({ submission: { files, variables = {} }, lookup }: Prepared, options: BuildOptions): Outcome {
  const { modules: parsed, problems } = parseModules(files, { variables, local: lookup, mostModules: OWN_MODULES });
  const modules = hasErrors(problems) ? parsed : selectModules(parsed, options.only ?? []);
  const { plan, problems: found } = surveyGraph({
    modules,
    facts: offlineFacts(modules),
    catalog: EMPTY_CATALOG,
    fingerprint: (secret) => createHmac('sha256', '').update(secret).digest('hex'),
    options: { ...options, unknownParents: 'warning' },
  });
  const all = [...problems, ...found];
  if (!hasErrors(all)) {
    const noted = problems.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
    return { plan: { ...plan, warnings: [...noted, ...plan.warnings, ...modules.flatMap(secretWarning)] } };
  }
  // Beside an error it does not matter what is provisional, nor that a parent was not compiled for its errors.
  const beside = hasErrors(problems) ? ['Provisional', 'UnknownModule'] : ['Provisional'];
  return { problems: all.filter((problem) => !beside.includes(problem.code)) };
}

function secretWarning(module: CompiledModule): string[] {
  if (module.vms.every((vm) => vm.communicator.sshPassword === null)) return [];
  return [`Module "${module.name}": sshPassword enters layerKey under the farm's key; layerKey is provisional`];
}

function printPlan({ modules, criticalPath, totals, warnings }: Plan): void {
  printTable(
    ['module', 'action', 'layer key', 'jobs', 'starts from', 'why'],
    modules.map(({ name, action, why, layerKey, jobs, dependsOn }) => [
      name,
      action,
      layerKey.slice(0, SHORT_KEY),
      String(jobs.length),
      dependsOn.join(', ') || '-',
      why,
    ]),
  );
  printLine(`\n${counted(totals.modules, 'module')}, ${counted(totals.jobs, 'job')}`);
  if (criticalPath.length > 0) printLine(`Critical path: ${criticalPath.map(printable).join(' -> ')}`);
  for (const warning of warnings) printLine(`${paint('yellow', 'warning:')} ${printable(warning)}`);
}
