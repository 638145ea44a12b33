import { styleText } from 'node:util';

type Style = 'red' | 'yellow' | 'green' | 'cyan' | 'dim' | 'bold';

/** One line of the command's result, for people. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One line about the command's work, beside its result. */
export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** One JSON value on one line. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Colours text for a terminal; piped output, or output with NO_COLOR set, stays plain. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY && !process.env['NO_COLOR'] ? styleText(style, text, { validateStream: false }) : text;
}

/** `1 module`, `2 modules`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
