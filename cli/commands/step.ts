import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { findKept } from '../client/find-waiting.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

const WORDS = { retry: 'runs again', skip: 'is skipped, and the build continues' } as const;

export function register(program: Command): void {
  const command = program
    .command('step')
    .description('continue a failed step whose machine is kept (build --on-error=keep)');
  for (const [answer, description] of [
    ['retry', 'run the failed step again'],
    ['skip', 'continue with the next step'],
  ] as const) {
    const sub = command
      .command(answer)
      .description(description)
      .argument('<build/vm>', 'the machine; BUILD alone if only one is kept');
    addConnectionFlags(sub).action(async (target: string, flags: ConnectionFlags) => {
      const client = new FarmClient(requireFarm(flags));
      const { buildId, vm } = await findKept(client, target);
      const step = await client.continue(buildId, vm, answer);
      printLine(`Step ${step + 1} of ${vm} ${WORDS[answer]}.`);
    });
  }
}
