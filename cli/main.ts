#!/usr/bin/env node
import { Command } from 'commander';
import { reportFailure, survivePipes } from './output/failure.ts';
import { readVersion } from './version.ts';

/** A command's file: adds the command to the program. */
interface CommandFile {
  readonly register: (program: Command) => void;
}

/** Every command by name. A file is only loaded when its command is asked for, or for the list of all. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandFile>>> = {
  up: () => import('./commands/up.ts'),
  down: () => import('./commands/down.ts'),
  doctor: () => import('./commands/doctor.ts'),
  validate: () => import('./commands/validate.ts'),
  bootcommand: () => import('./commands/bootcommand.ts'),
  plan: () => import('./commands/plan.ts'),
  build: () => import('./commands/build.ts'),
  logs: () => import('./commands/logs.ts'),
  ps: () => import('./commands/ps.ts'),
  cancel: () => import('./commands/cancel.ts'),
  images: () => import('./commands/images.ts'),
};

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('slipway')
    .description('build layered virtual-machine images on KubeVirt from module files')
    .version(readVersion())
    .showHelpAfterError('(run with --help for the usage)');
  const asked = COMMANDS[args[0] ?? ''];
  const files = await Promise.all(asked ? [asked()] : Object.values(COMMANDS).map((load) => load()));
  for (const file of files) file.register(program);
  if (args.length === 0) {
    program.outputHelp();
    return;
  }
  await program.parseAsync(args, { from: 'user' });
}

survivePipes();
main(process.argv.slice(2)).catch(reportFailure);
