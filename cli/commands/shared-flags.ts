import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../../common/contracts/module/duration.ts';
import type { VariableFlags } from '../read-variables.ts';

/** Flags of every command that reads modules. */
export interface ModuleFlags extends VariableFlags {
  readonly allowOutside?: boolean;
}

/** Flags of every command that follows a build. */
export interface FollowFlags {
  /** Milliseconds. */
  readonly waitForFarm: number;
}

/** `--url` and `--token`, for commands that talk to a farm. */
export function addConnectionFlags(command: Command): Command {
  return command
    .option('--url <url>', 'the farm to talk to (default: SLIPWAY_URL, else the farm of this machine)')
    .option('--token <token>', 'its bearer token (default: SLIPWAY_TOKEN)')
    .option(
      '--ca-file <file>',
      'PEM file of the CA that signed its certificate (default: SLIPWAY_CA_FILE, else public CAs)',
    );
}

/** `--var name=value` and `--var-file FILE`, both repeatable, and `--allow-outside`. */
export function addModuleFlags(command: Command): Command {
  return command
    .option('--var <name=value>', 'set a variable of the modules (repeatable); wins over --var-file', collectVariable)
    .option(
      '--var-file <file>',
      'set variables from a .yaml, .json or .env file (repeatable, later ones win); wins over SLIPWAY_VAR_NAME',
      collectItem,
    )
    .option('--allow-outside', 'allow local files outside the folder of the module file');
}

/** `--wait-for-farm`, for commands that follow a build. */
export function addFollowFlags(command: Command): Command {
  const option = command.createOption('--wait-for-farm <duration>', 'how long to wait for an unreachable farm');
  return command.addOption(option.argParser(toDuration).default(10 * 60_000, '10m'));
}

/** Items of an option that is given several times, or with commas: such an option never takes the path after it. */
export function collectList(text: string, former: readonly string[] = []): readonly string[] {
  return [...former, ...text.split(',').flatMap((item) => item.trim() || [])];
}

/** Values of a flag that may be repeated, as they are. */
export function collectItem(text: string, former: readonly string[] = []): readonly string[] {
  return [...former, text];
}

function collectVariable(text: string, former: Record<string, string> | undefined): Record<string, string> {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_-]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Write it as name=value.');
  return { ...former, [name]: value };
}

function toDuration(text: string): number {
  const parsed = parseDuration(text);
  if ('complaint' in parsed) throw new InvalidArgumentError(`${parsed.complaint}.`);
  return parsed.value;
}
