/** NUL ends texts in shells, paths and environments; halves of surrogate pairs have no form in UTF-8. */
const UNUSABLE = /\0|\p{Surrogate}/u;

/** The first character of a text that no guest can get; undefined if there is none. */
export function unusableCharacter(text: string): string | undefined {
  return UNUSABLE.exec(text)?.[0];
}

export function unusableMessage(character: string): string {
  return character === '\0'
    ? 'has a NUL (U+0000), which no script, path or environment can hold: remove it; content with NULs belongs into a file of its own, named under path'
    : `has half of a surrogate pair (${codeOf(character)}), which is not a character: write the character itself`;
}

/** How Unicode names a character. */
export function codeOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Line and column of a character of a text, from 1. */
export function characterPlace(text: string, index: number): { line: number; column: number } {
  const lines = text.slice(0, index).split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}
