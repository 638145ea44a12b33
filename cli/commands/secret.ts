import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { Command } from 'commander';
import { readSecretValue } from '../../common/contracts/secrets.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface SetFlags extends ConnectionFlags {
  readonly fromFile?: string;
}

interface ListFlags extends ConnectionFlags {
  readonly json?: boolean;
}

/** Shorter values are common in any text. */
const SHORT = 4;

export function register(program: Command): void {
  const command = program.command('secret').description('set, list and remove secrets that module files refer to');
  const set = command
    .command('set')
    .description('set the value of a secret, replacing an earlier one; needs an admin')
    .argument('<name>', 'letters, digits, _ and -')
    .option(
      '--from-file <file>',
      'read the value from a file, as it is (default: standard input, without its last newline)',
    );
  addConnectionFlags(set).action(setSecret);
  const list = command
    .command('list')
    .description('list the names; no value is ever shown')
    .option('--json', 'print one JSON object');
  addConnectionFlags(list).action(listSecrets);
  const remove = command
    .command('remove')
    .description('remove a secret; needs an admin')
    .argument('<name>', 'its name');
  addConnectionFlags(remove).action(async (name: string, flags: ConnectionFlags) => {
    await new FarmClient(requireFarm(flags)).removeSecret(name);
    printLine(`The secret ${name} is removed. Builds that were accepted keep it until they end.`);
  });
}

async function setSecret(name: string, { fromFile, ...flags }: SetFlags): Promise<void> {
  const farm = requireFarm(flags);
  const read = readSecretValue(fromFile === undefined ? await standardInput(name) : readFile(fromFile));
  if ('complaint' in read) throw new FarmError('InvalidRequest', read.complaint);
  await new FarmClient(farm).setSecret(name, read.value);
  printLine(`The secret ${name} is set. Modules name it as \${secret.${name}}.`);
  if (/[\r\n]$/.test(read.value)) printNote('Its last line break is part of it.');
  if (read.value.trim().length < SHORT)
    printNote('It is very short: every occurrence of these characters in logs is masked.');
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new FarmError('InvalidRequest', `${path} cannot be read: ${errorMessage(cause)}.`, { cause });
  }
}

/** Standard input, without the newline that `echo` adds; at a terminal one line, which is not shown. */
async function standardInput(name: string): Promise<Buffer> {
  const bytes = process.stdin.isTTY ? Buffer.from(await ask(name)) : await buffer(process.stdin);
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0;
  return bytes.subarray(0, bytes.length - end);
}

async function ask(name: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  printNote(`Type the value of ${name}, then Enter; it is not shown.`);
  try {
    return await terminal.question('');
  } finally {
    terminal.close();
  }
}

async function listSecrets({ json, ...flags }: ListFlags): Promise<void> {
  const secrets = await new FarmClient(requireFarm(flags)).secrets();
  if (json) return printJson({ secrets });
  printTable(
    ['name', 'set by', 'set'],
    secrets.map(({ name, setBy, setAt }) => [name, setBy, new Date(setAt).toISOString()]),
  );
}
