import type { Command } from 'commander';
import { FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('continue')
    .description('let a step of type handbuild go on: a person has done what it waits for')
    .argument('<build>', 'id of the build, or the start or end of it')
    .argument('[vm]', 'the machine (default: the only one that waits)');
  addConnectionFlags(command).action(async (id: string, vm: string | undefined, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    const name = vm ?? (await onlyWaiting(client, buildId));
    const step = await client.continue(buildId, name);
    printLine(`Step ${step + 1} of ${name} goes on.`);
  });
}

async function onlyWaiting(client: FarmClient, id: string): Promise<string> {
  const { modules } = await client.build(id);
  const waiting = modules.flatMap(({ vms }) => vms.filter(({ handbuild }) => handbuild !== null).map(({ vm }) => vm));
  const [only] = waiting;
  if (only === undefined) throw new FarmError('NotWaiting', `No step of build ${id} waits for a person.`);
  if (waiting.length === 1) return only;
  throw new FarmError('InvalidRequest', `Several machines wait; name one of them: ${waiting.join(', ')}.`);
}
