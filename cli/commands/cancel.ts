import type { Command } from 'commander';
import type { BuildState } from '../../common/contracts/builds.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
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
    .argument('<build>', 'id of the build');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    if (await client.cancel(id)) printLine(`Build ${id} is cancelled.`);
    else printLine(`Build ${id} had ended before: it ${ENDS[(await client.build(id)).state]}. Nothing was cancelled.`);
  });
}
