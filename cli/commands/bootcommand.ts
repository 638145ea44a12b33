import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { type BootEvent, parseBootCommand } from '../../common/contracts/boot-command/parse.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { printable } from '../../common/text/printable.ts';
import { printJson, printLine, printNote } from '../output/print.ts';

interface BootCommandOptions {
  readonly json?: true;
  readonly stdin?: true;
}

export function register(program: Command): void {
  program
    .command('bootcommand')
    .description('show the key events that a boot command means; templates are not filled')
    .argument('[text...]', 'the strings of the boot command')
    .option('--json', 'print one JSON object')
    .option('--stdin', 'read one JSON string (or list of strings) a line, print one JSON object a line')
    .action(async (text: string[], options: BootCommandOptions) => {
      if (options.stdin) await translateLines();
      else if (text.length > 0) translate(text, options.json ?? false);
      else throw new FarmError('InvalidRequest', 'Give the text of a boot command, or --stdin.');
    });
}

function translate(strings: readonly string[], json: boolean): void {
  const result = parseBootCommand(strings);
  if ('error' in result) process.exitCode = 1;
  if (json) printJson(jsonOf(result));
  else if ('error' in result) printNote(`error: ${printable(result.error)}`);
  else {
    for (const event of result.events) printLine(describe(event));
    for (const warning of result.warnings) printNote(`warning: ${printable(warning)}`);
  }
}

/** An error of one text is that line's result; only a line that holds no text at all fails the command. */
async function translateLines(): Promise<void> {
  let number = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    const strings = readLine(line);
    if (!strings) process.exitCode = 1;
    printJson(strings ? jsonOf(parseBootCommand(strings)) : { error: `line ${number} is not a JSON string` });
  }
}

function readLine(line: string): string[] | null {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'string') return [value];
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}

function jsonOf(result: ReturnType<typeof parseBootCommand>): object {
  if ('error' in result) return { error: result.error };
  const events = result.events.map((event) => (event.type === 'key' ? { ...event, keysym: hex(event.keysym) } : event));
  return { events, warnings: result.warnings };
}

function describe(event: BootEvent): string {
  return event.type === 'wait' ? `wait ${event.ms} ms` : `${event.down ? 'down' : 'up  '} ${hex(event.keysym)}`;
}

function hex(keysym: number): string {
  return `0x${keysym.toString(16)}`;
}
