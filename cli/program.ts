import { Command } from 'commander';
import { readVersion } from '../common/config/version.ts';

/** A command's file: adds the command to the program. */
interface CommandFile {
  readonly register: (program: Command, load: typeof loadProgram) => void;
}

/** Every command by name. A file is only loaded when its command is asked for, or for the list of all. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandFile>>> = {
  up: () => import('./commands/up.ts'),
  down: () => import('./commands/down.ts'),
  open: () => import('./commands/open.ts'),
  doctor: () => import('./commands/doctor.ts'),
  validate: () => import('./commands/validate.ts'),
  bootcommand: () => import('./commands/bootcommand.ts'),
  plan: () => import('./commands/plan.ts'),
  build: () => import('./commands/build.ts'),
  logs: () => import('./commands/logs.ts'),
  ps: () => import('./commands/ps.ts'),
  console: () => import('./commands/console.ts'),
  ssh: () => import('./commands/ssh.ts'),
  continue: () => import('./commands/continue.ts'),
  step: () => import('./commands/step.ts'),
  release: () => import('./commands/release.ts'),
  run: () => import('./commands/run.ts'),
  stop: () => import('./commands/stop.ts'),
  retry: () => import('./commands/retry.ts'),
  cancel: () => import('./commands/cancel.ts'),
  cluster: () => import('./commands/cluster.ts'),
  df: () => import('./commands/df.ts'),
  images: () => import('./commands/images.ts'),
  image: () => import('./commands/image.ts'),
  secret: () => import('./commands/secret.ts'),
  token: () => import('./commands/token.ts'),
  init: () => import('./commands/init.ts'),
  completion: () => import('./commands/completion.ts'),
};

/** `slipway` with the command that is asked for; with all of them when it asks for none, or for one that there is not. */
export async function loadProgram(asked?: string): Promise<Command> {
  const program = new Command('slipway')
    .description('build layered virtual-machine images on KubeVirt from module files')
    .version(readVersion())
    .showHelpAfterError('(run with --help for the usage)');
  const only = COMMANDS[asked ?? ''];
  const files = await Promise.all(only ? [only()] : Object.values(COMMANDS).map((load) => load()));
  for (const file of files) file.register(program, loadProgram);
  return program;
}
