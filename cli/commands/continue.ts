import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { findWaiting } from '../client/find-waiting.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('continue')
    .description('continue after a step of type handbuild: a person has done what it asks for')
    .argument('<build>', 'id of the build, or the beginning or end of the id')
    .argument('[vm]', 'the machine (default: the only one that waits)');
  addConnectionFlags(command).action(async (id: string, vm: string | undefined, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const found = await findWaiting(client, vm === undefined ? id : `${id}/${vm}`);
    const step = await client.continue(found.buildId, found.vm);
    printLine(`Step ${step + 1} of ${found.vm} continues.`);
  });
}
