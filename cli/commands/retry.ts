import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { notePlan } from '../output/plan-notes.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { chooseOutput, followBuild } from './build.ts';
import { addConnectionFlags, addFollowFlags, type FollowFlags } from './shared-flags.ts';

interface RetryFlags extends ConnectionFlags, FollowFlags {
  readonly wait: boolean;
  readonly json?: boolean;
  readonly onError?: string;
}

export function register(program: Command): void {
  const command = program
    .command('retry')
    .description(
      'retry the modules of a build that did not succeed, as submitted; continue from the failed phase where possible',
    )
    .argument('<build>', 'id of the build, or the beginning or end of the id')
    .option('--on-error <what>', 'as in slipway build')
    .option('--no-wait', 'only print the id of the new build')
    .option('--json', 'print one JSON object per line');
  addFollowFlags(addConnectionFlags(command)).action(async (id: string, flags: RetryFlags) => {
    process.exitCode = await retry(id, flags);
  });
}

async function retry(id: string, flags: RetryFlags): Promise<number> {
  const { json = false, onError } = flags;
  const client = new FarmClient(requireFarm(flags));
  const former = await client.build(await resolveBuild(client, id));
  const { buildId, plan } = await client.retry(former.buildId, onError === undefined ? {} : { onError });
  if (!json) {
    const done = former.modules.filter(({ state }) => state === 'succeeded').map(({ name }) => name);
    if (done.length > 0) printNote(`Already built: ${done.join(', ')}`);
    notePlan(plan);
  }
  if (!flags.wait) {
    if (json) printJson({ buildId });
    else printLine(buildId);
    return 0;
  }
  return followBuild({ client, buildId, flags, output: chooseOutput(json, buildId) });
}
