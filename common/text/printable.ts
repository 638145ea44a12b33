const ESCAPE = '\u001b';
/** Ends a control string: BEL or ST, or the end of the text. */
const TO_STRING_END = `[^\u0007${ESCAPE}\u009c]*(?:\u0007|${ESCAPE}\\\\|\u009c|$)`;

/**
 * Control sequences of ECMA-48, of seven and of eight bits: control strings with all that they carry (window titles,
 * links, sixels), CSI with parameters, then every other escape.
 */
const CONTROL_SEQUENCES = new RegExp(
  [
    `(?:${ESCAPE}[\\]PX^_]|[\u0090\u0098\u009d\u009e\u009f])${TO_STRING_END}`,
    `(?:${ESCAPE}\\[|\u009b)[0-?]*[ -/]*[@-~]?`,
    `${ESCAPE}[ -/]*[0-~]?`,
  ].join('|'),
  'g',
);

/**
 * Text of a file, a guest or a server as one line that a terminal or a page may show: no escape sequence, no control
 * character and no mark that turns the direction of text survives.
 */
export function printable(text: string): string {
  return text.replace(CONTROL_SEQUENCES, '').replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ' ');
}
