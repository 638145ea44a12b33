import { Argument, type Command, Option } from 'commander';
import { printable } from '../../common/text/printable.ts';
import { findFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { shortId } from '../client/resolve-build.ts';
import { SCRIPTS, SHELLS, type Shell } from '../completion/scripts.ts';
import { type Suggestion, suggest } from '../completion/suggest.ts';
import { printLine } from '../output/print.ts';

/** Completion does not wait for a slow farm. */
const PATIENCE_MS = 1_000;

export function register(program: Command, loadProgram: (asked?: string) => Promise<Command>): void {
  program
    .command('completion')
    .description('print a script that lets a shell complete commands, options and ids of builds')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .argument('[words...]', 'the words typed so far (sent by the script)')
    .addOption(new Option('--complete', 'print the completions of the last word').hideHelp())
    .action(async (shell: Shell, words: string[], { complete }: { complete?: true }) => {
      if (!complete) {
        process.stdout.write(SCRIPTS[shell]);
        return;
      }
      const whole = await loadProgram(words.length > 1 ? words[0] : undefined);
      const { items, files } = await suggest(whole, words, buildIds);
      for (const { value, description } of items) printLine(`${value}\t${printable(description)}`);
      if (files) printLine(':files');
    });
}

async function buildIds(): Promise<Suggestion[]> {
  const farm = findFarm({});
  if (!farm) return [];
  try {
    const builds = await new FarmClient(farm).builds(AbortSignal.timeout(PATIENCE_MS));
    return builds.map(({ buildId, state, modules }) => ({
      value: shortId(buildId),
      description: `${state}: ${modules.map(({ name }) => name).join(', ')}`,
    }));
  } catch {
    return [];
  }
}
