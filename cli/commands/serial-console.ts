import type { Duplex } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { terminalFilter } from '../../common/text/terminal-filter.ts';
import type { FarmClient } from '../client/farm-client.ts';
import { printNote } from '../output/print.ts';

/** Ctrl-], as telnet and virtctl have it. */
const LEAVE = 0x1d;
/** Resets terminal modes that a guest has set: colours, the other screen, a hidden cursor. */
const RESET = '\u001b[0m\u001b[?1049l\u001b[?25h';

/** Joins the terminal with the serial port of a machine until either ends it. */
export async function joinSerial(client: FarmClient, build: string, vm: string): Promise<void> {
  const stream = await client.machines.openSerialConsole(build, vm);
  const { stdin, stdout } = process;
  printNote('Connected to the serial port. Typing works while a handbuild step waits; Ctrl-] ends this.');
  const filter = terminalFilter();
  stream.on('data', (bytes: Buffer) => void stdout.write(filter(bytes)));
  stdin.on('data', (bytes: Buffer) => send(stream, stdin, bytes));
  setRaw(stdin, true);
  try {
    await new Promise<void>((resolve) => {
      stream.on('close', resolve);
      stream.on('end', () => stream.destroy());
      process.once('SIGTERM', () => stream.destroy());
    });
  } finally {
    setRaw(stdin, false);
    stdin.destroy();
    if (stdout.isTTY) stdout.write(RESET);
  }
  printNote('\nThe serial port is closed.');
}

function send(stream: Duplex, stdin: ReadStream, bytes: Buffer): void {
  const end = stdin.isTTY ? bytes.indexOf(LEAVE) : -1;
  stream.write(end === -1 ? bytes : bytes.subarray(0, end));
  if (end !== -1) stream.destroy();
}

function setRaw(stdin: ReadStream, isRaw: boolean): void {
  if (stdin.isTTY) stdin.setRawMode(isRaw);
}
