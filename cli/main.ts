#!/usr/bin/env node
import { reportFailure, survivePipes } from './output/failure.ts';
import { loadProgram } from './program.ts';

async function main(args: readonly string[]): Promise<void> {
  const program = await loadProgram(args[0]);
  if (args.length === 0) program.outputHelp();
  else await program.parseAsync(args, { from: 'user' });
}

survivePipes();
main(process.argv.slice(2)).catch(reportFailure);
