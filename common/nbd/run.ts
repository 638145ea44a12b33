const ZEROS = Buffer.alloc(1024 ** 2);

/** Bytes of a disk in a row. */
export interface Run {
  readonly length: number;
  /** Null: all of them are zero. */
  readonly bytes: Buffer | null;
}

export function runOf(bytes: Buffer): Run {
  return { length: bytes.length, bytes: isZero(bytes) ? null : bytes };
}

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}

/** As many zeros, in pieces. */
export function* zeros(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
}

/** The first `length` bytes of a run, and the rest of it. */
export function splitRun({ length, bytes }: Run, at: number): readonly [Run, Run] {
  return [
    { length: at, bytes: bytes ? bytes.subarray(0, at) : null },
    { length: length - at, bytes: bytes ? bytes.subarray(at) : null },
  ];
}
