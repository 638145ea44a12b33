import type { Command } from 'commander';
import { FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('stop')
    .description('stop a clone: its machines and their disks are removed')
    .argument('<clone>', 'id of the clone, or the beginning or end of the id');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    const { run } = await client.buildHead(buildId);
    if (run === null) {
      throw new FarmError('InvalidRequest', `${buildId} is a build, not a clone: \`slipway cancel\` cancels it.`);
    }
    const wasRunning = await client.cancel(buildId);
    printLine(wasRunning ? `The clone ${buildId} of ${run} is stopped.` : `The clone ${buildId} had already ended.`);
  });
}
