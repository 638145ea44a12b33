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
    .description('end a clone: its machines are switched off, and what they wrote is gone')
    .argument('<clone>', 'id of the clone, or the start or end of it');
  addConnectionFlags(command).action(async (id: string, flags: ConnectionFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    const { run } = await client.build(buildId);
    if (run === null) {
      throw new FarmError('InvalidRequest', `${buildId} is a build and no clone: \`slipway cancel\` gives it up.`);
    }
    const wasRunning = await client.cancel(buildId);
    printLine(wasRunning ? `The clone ${buildId} of ${run} is stopped.` : `The clone ${buildId} had ended before.`);
  });
}
