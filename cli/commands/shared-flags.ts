import { type Command, InvalidArgumentError } from 'commander';

/** Flags of every command that reads modules. */
export interface ModuleFlags {
  readonly var?: Record<string, string>;
}

/** `--url` and `--token`, for commands that talk to a farm. */
export function addConnectionFlags(command: Command): Command {
  return command
    .option('--url <url>', 'the farm to talk to (default: SLIPWAY_URL, else the farm of this machine)')
    .option('--token <token>', 'its bearer token (default: SLIPWAY_TOKEN)');
}

/** `--var name=value`, repeatable. */
export function addModuleFlags(command: Command): Command {
  return command.option('--var <name=value>', 'set a variable of the modules (repeatable)', collectVariable);
}

function collectVariable(text: string, former: Record<string, string> | undefined): Record<string, string> {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_-]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Write it as name=value.');
  return { ...former, [name]: value };
}
