import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { type BuildOutput, jsonOutput, lineOutput, terminalOutput } from '../output/build-progress.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { readModuleFiles } from '../read-modules.ts';
import { addConnectionFlags, addModuleFlags, type ModuleFlags } from './shared-flags.ts';

/** Exit code of a finished build; everything that the farm itself could not do is 1. */
const EXIT_CODES = { succeeded: 0, failed: 2, cancelled: 3 } as const;

interface BuildFlags extends ConnectionFlags, ModuleFlags {
  readonly wait: boolean;
  readonly json?: boolean;
  readonly cache: boolean;
  readonly rebuild?: string[];
}

export function register(program: Command): void {
  const command = program
    .command('build')
    .description('build modules and everything they start from, and follow the build to its end')
    .argument('<path...>', 'module files or folders; - reads standard input')
    .option('--no-wait', 'return as soon as the farm has accepted the build')
    .option('--wait', 'follow the build to its end (default)')
    .option('--no-cache', 'build every module, even those whose layers are there')
    .option('--rebuild <module...>', 'build these modules, even if their layers are there')
    .option('--json', 'print one JSON object per line');
  addModuleFlags(addConnectionFlags(command)).action(async (paths: string[], flags: BuildFlags) => {
    process.exitCode = await build(paths, flags);
  });
}

async function build(paths: readonly string[], flags: BuildFlags): Promise<number> {
  const files = readModuleFiles(paths);
  const farm = requireFarm(flags);
  const client = new FarmClient(farm);
  const { buildId } = await client.submit(
    { files, variables: flags.var ?? {} },
    { noCache: !flags.cache, rebuild: flags.rebuild ?? [], idempotencyKey: randomUUID() },
  );
  if (!flags.json) printNote(`In the web console: ${farm.url}/builds/${buildId}`);
  const output = chooseOutput(flags.json ?? false, buildId);
  if (!flags.wait) {
    if (flags.json) printJson({ buildId });
    else printLine(buildId);
    return 0;
  }
  const detach = new AbortController();
  process.once('SIGINT', () => detach.abort());
  return followBuild(client.events(buildId, detach.signal), output, () => {
    if (!detach.signal.aborted) return undefined;
    printNote(`Detached. The build goes on: slipway logs -f ${buildId}; slipway cancel ${buildId}`);
    return 0;
  });
}

/** Shows every event; resolves with the exit code when the build has finished, or with what `onCut` says. */
export async function followBuild(
  events: AsyncIterable<StoredEvent>,
  output: BuildOutput,
  onCut: () => number | undefined,
): Promise<number> {
  try {
    for await (const event of events) {
      output.show(event);
      if (event.event === 'build-finished') return EXIT_CODES[event.outcome];
    }
  } catch (error) {
    const code = onCut();
    if (code === undefined) throw error;
    return code;
  } finally {
    output.end();
  }
  return 1;
}

/** JSON when asked for, a moving board on a terminal, plain lines otherwise. */
export function chooseOutput(json: boolean, buildId: string): BuildOutput {
  if (json) return jsonOutput(process.stdout);
  return process.stdout.isTTY ? terminalOutput(process.stdout, buildId) : lineOutput(process.stdout, buildId);
}
