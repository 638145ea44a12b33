import { randomUUID } from 'node:crypto';
import { type Command, Option } from 'commander';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { PRIORITIES, type Priority } from '../../common/contracts/owners.ts';
import { seconds } from '../../common/text/durations.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import type { FollowOptions } from '../client/farm-api.ts';
import { type Accepted, FarmClient } from '../client/farm-client.ts';
import { problemsOf } from '../client/refusal.ts';
import { prepareSubmission } from '../local-files/prepare-submission.ts';
import { submitWithFiles } from '../local-files/send-local-files.ts';
import { describeSuccess } from '../output/after-build.ts';
import { type BuildOutput, jsonOutput, lineOutput, terminalOutput } from '../output/build-progress.ts';
import { withJunitReport } from '../output/junit.ts';
import { notePlan } from '../output/plan-notes.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { printProblems } from '../output/problems.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { readModuleFiles } from '../read-modules.ts';
import { readVariables } from '../read-variables.ts';
import { addBuildExportCommand } from './build-export.ts';
import {
  addConnectionFlags,
  addFollowFlags,
  addModuleFlags,
  collectItem,
  collectList,
  type FollowFlags,
  type ModuleFlags,
} from './shared-flags.ts';

/** Exit code of a finished build; everything that the farm itself could not do is 1. */
const EXIT_CODES = { succeeded: 0, failed: 2, cancelled: 3 } as const;

interface BuildFlags extends ConnectionFlags, ModuleFlags, FollowFlags {
  readonly wait: boolean;
  readonly json?: boolean;
  readonly cache: boolean;
  readonly rebuild?: readonly string[];
  readonly only?: readonly string[];
  readonly junit?: string;
  readonly onError?: string;
  readonly pauseBefore?: readonly string[];
  readonly priority?: Priority;
  readonly as?: string;
}

export function register(program: Command): void {
  const command = program
    .command('build')
    .description('build modules and everything they start from, and follow the build to its end')
    .argument('<path...>', 'module files or folders; - reads standard input')
    .option('--no-wait', 'return as soon as the farm has accepted the build')
    .option('--wait', 'follow the build to its end (default)')
    .option('--no-cache', 'build every module, even if its layer exists')
    .option('--rebuild <modules>', 'build these, and what starts from them, again (commas; repeatable)', collectList)
    .option('--only <modules>', 'build these and what they start from, and no others (commas; repeatable)', collectList)
    .option(
      '--on-error <what>',
      'when a step fails: abort, or keep its machine running for a person (keep, or keep=30m; 2h by default)',
    )
    .option(
      '--pause-before <step>',
      'wait for a person before a step, by name or number, with VM/ in front where several have it (repeatable)',
      collectItem,
    )
    .addOption(
      new Option('--priority <priority>', 'builds of a higher priority are admitted first; high is for admins').choices(
        PRIORITIES,
      ),
    )
    .option('--as <owner>', 'owner of the build, instead of the name of the token; for admins')
    .option('--junit <file>', 'write the results to FILE in JUnit format, for CI systems')
    .option('--json', 'print one JSON object per line');
  addModuleFlags(addFollowFlags(addConnectionFlags(command))).action(async (paths: string[], flags: BuildFlags) => {
    process.exitCode = await build(paths, flags);
  });
  addBuildExportCommand(command);
}

async function build(paths: readonly string[], flags: BuildFlags): Promise<number> {
  const { json = false } = flags;
  const farm = requireFarm(flags);
  const client = new FarmClient(farm);
  const accepted = await submit(client, paths, flags);
  if (!accepted) return 1;
  const { buildId, plan } = accepted;
  if (!json) {
    notePlan(plan);
    printNote(`In the web console: ${farm.url}/builds/${buildId}`);
  }
  if (!flags.wait) {
    if (json) printJson({ buildId });
    else printLine(buildId);
    return 0;
  }
  const shown = chooseOutput(json, buildId);
  const output = flags.junit === undefined ? shown : withJunitReport(shown, flags.junit);
  return followBuild({ client, buildId, flags, output });
}

/** Undefined when the modules have problems, which are printed, all of them. */
async function submit(client: FarmClient, paths: readonly string[], flags: BuildFlags): Promise<Accepted | undefined> {
  const files = readModuleFiles(paths);
  const { cache, rebuild = [], only = [], onError, pauseBefore = [], priority, as } = flags;
  const options = {
    noCache: !cache,
    rebuild,
    only,
    pauseBefore,
    ...(onError === undefined ? {} : { onError }),
    ...(priority === undefined ? {} : { priority }),
    ...(as === undefined ? {} : { as }),
    idempotencyKey: randomUUID(),
  };
  const line = new TransferLine(process.stderr);
  try {
    const search = { variables: readVariables(files, flags), allowOutside: flags.allowOutside ?? false };
    const { submission, contents } = await prepareSubmission(files, search, line);
    return await submitWithFiles({ client, contents, line }, () => client.submit(submission, options));
  } catch (error) {
    const problems = problemsOf(error);
    if (problems.length === 0) throw error;
    printProblems(problems, flags.json ?? false);
    return undefined;
  }
}

/** Whose build is followed, and how. */
export interface Following {
  readonly client: FarmClient;
  readonly buildId: string;
  readonly flags: FollowFlags & { readonly json?: boolean };
  readonly output: BuildOutput;
}

/**
 * Shows every event until the build has finished; resolves with its exit code. Ctrl-C only stops following, and prints how
 * to come back; a farm that is away for a while is waited for.
 */
export async function followBuild({ client, buildId, flags, output }: Following): Promise<number> {
  const detach = new AbortController();
  process.once('SIGINT', () => detach.abort());
  let last: StoredEvent | undefined;
  try {
    for await (last of client.events(buildId, patience(flags, output, detach.signal))) output.show(last);
  } catch (error) {
    if (!detach.signal.aborted) throw error;
  } finally {
    output.end();
  }
  if (last?.event === 'build-finished') {
    if (!flags.json) for (const line of describeSuccess(last)) printNote(line);
    return EXIT_CODES[last.outcome];
  }
  printNote(
    `Detached: the build continues. Attach again: slipway logs -f ${buildId}; cancel it: slipway cancel ${buildId}`,
  );
  return 0;
}

function patience({ waitForFarm }: FollowFlags, output: BuildOutput, signal: AbortSignal): FollowOptions {
  return {
    signal,
    forMs: waitForFarm,
    onAway: (error) => output.note(`${error.message} Trying again for ${seconds(waitForFarm)}; the build is kept.`),
    onBack: () => output.note('The farm answers again.'),
  };
}

/** JSON when asked for, a moving board on a terminal, plain lines otherwise. */
export function chooseOutput(json: boolean, buildId: string): BuildOutput {
  if (json) return jsonOutput(process.stdout);
  return process.stdout.isTTY ? terminalOutput(process.stdout, buildId) : lineOutput(process.stdout, buildId);
}
