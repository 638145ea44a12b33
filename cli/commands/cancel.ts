import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('cancel')
    .description('give up a build; layers that other builds wait for go on')
    .argument('<build>', 'id of the build');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    await new FarmClient(requireFarm(flags)).cancel(id);
    printLine(`Build ${id} is cancelled.`);
  });
}
