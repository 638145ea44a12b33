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
    .description('cancel a build; layers that other builds wait for continue')
    .argument('<build>', 'id of the build, or the beginning or end of the id');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    if (await client.cancel(buildId)) printLine(`Build ${buildId} is cancelled.`);
    else
      printLine(
        `Build ${buildId} had already ended: it ${ENDS[(await client.buildHead(buildId)).state]}. Nothing was cancelled.`,
      );
  });
}
