import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { RunView } from '../../common/contracts/runs.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { describeEvent } from '../output/build-lines.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface RunFlags extends ConnectionFlags {
  readonly ttl?: string;
  readonly sshKey?: string;
  readonly wait: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('run')
    .description('start a clone of an image: all of its machines, on a network of their own')
    .argument('<image>', 'NAME (its newest version), NAME:VERSION or NAME@TAG')
    .option('--ttl <duration>', 'how long it runs from when its first machine is up (default: 8h)')
    .option('--ssh-key <file>', 'an additional public key that may log in')
    .option('--no-wait', 'only print its id, and do not wait for its machines')
    .option('--json', 'print it as JSON');
  addConnectionFlags(command).action(async (reference: string, flags: RunFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const run = await client.run(reference, {
      ...(flags.ttl === undefined ? {} : { ttl: flags.ttl }),
      ...(flags.sshKey === undefined ? {} : { sshKey: readKey(flags.sshKey) }),
    });
    const started = flags.wait ? await untilUp(client, run) : run;
    if (started) show(started, flags);
    else process.exitCode = 2;
  });
}

function show(run: RunView, { json, wait }: RunFlags): void {
  const { buildId, until, vms } = run;
  if (json) printJson(run);
  else printLine(buildId);
  if (json || !wait) return;
  for (const { vm } of vms) printNote(`  slipway ssh ${buildId}/${vm}    or  slipway console ${buildId}/${vm}`);
  const end = until === null ? '' : `    it stops automatically at ${new Date(until).toISOString()}`;
  printNote(`  slipway stop ${buildId}${end}`);
}

/** The clone when all of its machines are up; null when it ended before, which is printed. */
async function untilUp(client: FarmClient, { buildId }: RunView): Promise<RunView | null> {
  for await (const event of client.events(buildId)) {
    const text = describeEvent(event, buildId);
    if (event.event === 'module-finished' || event.event === 'phase-finished') printNote(text);
    if (event.event !== 'phase-finished' || event.phase !== 'boot-keystrokes') continue;
    const run = (await client.runs()).find((each) => each.buildId === buildId);
    if (run?.state === 'running') return run;
  }
  return null;
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new FarmError('InvalidRequest', `The public key cannot be read: ${errorMessage(error)}.`, { cause: error });
  }
}
