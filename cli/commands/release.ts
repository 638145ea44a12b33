import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { findKept } from '../client/find-waiting.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('release')
    .description('give up a failed step whose machine is kept: the module fails, and the machine is removed')
    .argument('<build/vm>', 'the machine; BUILD alone if only one is kept');
  addConnectionFlags(command).action(async (target: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const { buildId, vm } = await findKept(client, target);
    await client.continue(buildId, vm, 'release');
    printLine(`${vm} is released.`);
  });
}
