/** A word of a Bourne shell's command line. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Code of `sh` that prints a text byte for byte, without a process of its own or a file. */
export function printing(text: string): string {
  const pieces = text.split('\0').map((piece) =>
    chunks(piece)
      .map((chunk) => `printf %s ${quote(chunk)}`)
      .join(' && '),
  );
  return `{ ${pieces.map((piece) => piece || ':').join(String.raw` && printf '\000' && `)}; }`;
}

/** Where `printf` is a program, an argument must not be longer than 128 KiB. */
function chunks(text: string): string[] {
  return text.match(/[\s\S]{1,20000}/gu) ?? [];
}

/** A text of Unix: scripts that were edited on Windows have another mark at the end of their lines, and at their beginning. */
export function unixText(text: string): string {
  const bare = text.replace(/^\uFEFF/, '');
  const ends = bare.match(/\r?\n/g) ?? [];
  const foreign = ends.filter((end) => end === '\r\n').length;
  const isForeign = foreign > 0 && (ends[0] === '\r\n' || 2 * foreign >= ends.length);
  return isForeign ? bare.replaceAll('\r\n', '\n').replace(/\r$/, '') : bare;
}
