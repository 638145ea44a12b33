/** Longer lines are cut into pieces, so that a guest without newlines cannot fill the memory. */
const LONGEST_LINE = 16 * 1024;
const NEWLINE = 0x0a;

/** What hides secrets in text that a guest printed. */
export type Mask = (text: string) => string;

/** Replaces every secret by `[secret]`; each line of a secret with several (a key) counts on its own. */
export function maskSecrets(secrets: readonly (string | undefined)[]): Mask {
  const values = secrets
    .flatMap((secret) => secret?.split('\n') ?? [])
    .map((value) => value.trim())
    // The frame of a key is no secret, and one or two characters would hide half of any text.
    .filter((value) => value.length > 2 && !value.startsWith('-----'))
    .sort((a, b) => b.length - a.length);
  return (text) => values.reduce((masked, value) => masked.replaceAll(value, '[secret]'), text);
}

/** A line and the offset in the stream right after it. */
export interface LogLine {
  readonly text: string;
  readonly end: number;
}

/** Cuts a stream of bytes into lines. Control characters stay as they are; bytes that are no UTF-8 become U+FFFD. */
export class LineSplitter {
  #rest = Buffer.alloc(0);
  #restAt: number;

  /** @param offset where in the stream the first pushed byte stands */
  constructor(offset: number) {
    this.#restAt = offset;
  }

  /** The lines that the bytes complete. */
  push(bytes: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    let rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const newline = rest.indexOf(NEWLINE);
      const length = newline === -1 || newline > LONGEST_LINE ? LONGEST_LINE : newline;
      if (newline === -1 && rest.length <= LONGEST_LINE) break;
      const skipped = length === newline ? 1 : 0;
      this.#restAt += length + skipped;
      lines.push({ text: rest.subarray(0, length).toString(), end: this.#restAt });
      rest = rest.subarray(length + skipped);
    }
    this.#rest = Buffer.from(rest);
    return lines;
  }

  /** The last line, when it has no newline. */
  end(): LogLine[] {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    this.#restAt += rest.length;
    return rest.length === 0 ? [] : [{ text: rest.toString(), end: this.#restAt }];
  }
}
