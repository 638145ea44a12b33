import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { jsonOutput, lineOutput } from '../output/build-progress.ts';
import { printNote } from '../output/print.ts';
import { followBuild } from './build.ts';
import { printSerialLog } from './serial-log.ts';
import { addConnectionFlags, addFollowFlags, type FollowFlags } from './shared-flags.ts';

interface LogFlags extends ConnectionFlags, FollowFlags {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly serial?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('logs')
    .description('print what has happened to a build, and what its machines said')
    .argument('[build]', 'id of the build (default: the newest one)')
    .option('-f, --follow', 'go on until the build has finished')
    .option('--serial', 'print what the machines said at their serial ports instead')
    .option('--json', 'print one JSON object per line');
  addFollowFlags(addConnectionFlags(command)).action(async (id: string | undefined, flags: LogFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = id ?? (await client.builds())[0]?.buildId;
    if (buildId === undefined) {
      printNote('The farm has no build.');
      return;
    }
    if (flags.serial) {
      return printSerialLog(client, buildId, { follow: flags.follow ?? false, json: flags.json ?? false });
    }
    const output = flags.json ? jsonOutput(process.stdout) : lineOutput(process.stdout, buildId);
    if (flags.follow) {
      process.exitCode = await followBuild({ client, buildId, flags, output });
      return;
    }
    for await (const event of client.pastEvents(buildId)) output.show(event);
  });
}
