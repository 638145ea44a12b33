import { stripVTControlCharacters } from 'node:util';

/** Text of a guest or a server as a terminal may show it: no escape sequence and no control character survives. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, ' ');
}
