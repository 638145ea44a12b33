const ESCAPE = 0x1b;
const BELL = 0x07;
/** Begin a control string (ECMA-48): device control, operating system command, privacy, application, start of string. */
const STRINGS = new Set([...'P]^_X'].map((character) => character.charCodeAt(0)));
const STRING_END = 0x5c;

/**
 * Passes text, colours and cursor movements through and removes control strings: by these a machine could set
 * titles, write the clipboard, or make links. Bytes may be cut anywhere.
 */
export function terminalFilter(): (bytes: Buffer) => Buffer {
  let state: 'text' | 'escape' | 'string' | 'string-escape' = 'text';
  return (bytes) => {
    const shown: number[] = [];
    for (const byte of bytes) {
      if (state === 'string') {
        if (byte === BELL) state = 'text';
        else if (byte === ESCAPE) state = 'string-escape';
      } else if (state === 'string-escape') {
        // Any character after the escape but the end of the string begins a new sequence.
        if (byte === STRING_END) state = 'text';
        else if (STRINGS.has(byte)) state = 'string';
        else {
          state = 'text';
          shown.push(ESCAPE, byte);
        }
      } else if (state === 'escape') {
        if (STRINGS.has(byte)) state = 'string';
        else {
          state = byte === ESCAPE ? 'escape' : 'text';
          shown.push(...(byte === ESCAPE ? [] : [ESCAPE, byte]));
        }
      } else if (byte === ESCAPE) state = 'escape';
      else shown.push(byte);
    }
    return Buffer.from(shown);
  };
}
