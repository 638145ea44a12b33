/** Bytes by which content is known. */
export interface Mark {
  /** @defaultValue 0 */
  readonly offset?: number;
  /** The bytes there in hexadecimal. */
  readonly hex: string;
  readonly what: string;
}

/** What the first of these marks that a content has stands for; undefined when it has none of them. */
export function findMark(head: Buffer, marks: readonly Mark[]): string | undefined {
  return marks.find(({ offset = 0, hex }) => head.toString('hex', offset, offset + hex.length / 2) === hex)?.what;
}
