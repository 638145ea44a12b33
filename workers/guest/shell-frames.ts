/** Parts of a shell's output: bytes of commands, and the words of an answer. */
export type ShellPiece = { readonly bytes: Buffer } | { readonly answer: string };

const NEWLINE = 0x0a;

/**
 * Takes the output of a shell apart. An answer is a line of its own that begins with the mark, which no other line can
 * know; the newline before it belongs to it. All other bytes are passed on exactly as they were printed.
 */
export class ShellFrames {
  readonly #mark: Buffer;
  #rest: Buffer = Buffer.alloc(0);

  constructor(mark: string) {
    this.#mark = Buffer.from(`\n${mark} `);
  }

  push(chunk: Buffer): ShellPiece[] {
    const pieces: ShellPiece[] = [];
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const at = rest.indexOf(this.#mark);
      const end = at === -1 ? -1 : rest.indexOf(NEWLINE, at + this.#mark.length);
      const free = at === -1 ? rest.length - this.#begun(rest) : at;
      if (free > 0) pieces.push({ bytes: rest.subarray(0, free) });
      if (end === -1) {
        this.#rest = Buffer.from(rest.subarray(free));
        return pieces;
      }
      pieces.push({ answer: rest.subarray(at + this.#mark.length, end).toString() });
      rest = rest.subarray(end + 1);
    }
  }

  /** How many of the last bytes may be the beginning of a mark. */
  #begun(bytes: Buffer): number {
    for (let length = Math.min(bytes.length, this.#mark.length - 1); length > 0; length -= 1) {
      if (bytes.subarray(-length).equals(this.#mark.subarray(0, length))) return length;
    }
    return 0;
  }
}
