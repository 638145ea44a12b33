import { stripVTControlCharacters } from 'node:util';

/**
 * Text of a file, a guest or a server as one line that a terminal may show: no escape sequence, no control character and
 * no mark that turns the direction of text survives.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ' ');
}
