import type { Command } from 'commander';
import type { BuildState } from '../../common/contracts/builds.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

/** How a build that is over has ended. */
const ENDS: Readonly<Record<BuildState, string>> = {
  queued: 'waits',
  running: 'runs',
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'was cancelled',
};

export function register(program: Command): void {
  const command = program
    .command('cancel')
    .description('give up a build; layers that other builds wait for go on')
    .argument('<build>', 'id of the build, or the start or end of it');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    if (await client.cancel(buildId)) printLine(`Build ${buildId} is cancelled.`);
    else
      printLine(
        `Build ${buildId} had ended before: it ${ENDS[(await client.build(buildId)).state]}. Nothing was cancelled.`,
      );
  });
}
