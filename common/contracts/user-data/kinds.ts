import { gunzipSync } from 'node:zlib';

/** Kind of user data by cloud-init; null: unknown, so it is ignored. */
export type UserDataKind =
  | 'cloud-config'
  | 'cloud-config-archive'
  | 'cloud-config-jsonp'
  | 'jinja'
  | 'script'
  | 'include'
  | 'boothook'
  | 'part-handler'
  | 'mime';

/** How the first line begins, the longer before what it begins with (cloud-init, `handlers/__init__.py`). */
const BEGINNINGS: readonly (readonly [string, UserDataKind])[] = [
  ['#cloud-config-archive', 'cloud-config-archive'],
  ['#cloud-config-jsonp', 'cloud-config-jsonp'],
  ['#cloud-config', 'cloud-config'],
  ['#cloud-boothook', 'boothook'],
  ['#part-handler', 'part-handler'],
  ['## template: jinja', 'jinja'],
  ['#include', 'include'],
  ['#!', 'script'],
];

/** The line that each kind of text begins with, for messages. */
export const HEADERS: readonly string[] = BEGINNINGS.map(([beginning]) => beginning);

/** User data, the wrappings that it came in, and what cloud-init takes it for. */
export interface UserData {
  readonly content: Buffer;
  readonly wrappings: readonly ('base64' | 'gzip')[];
  readonly kind: UserDataKind | null;
}

/** More than any Secret holds, however well it is packed. */
const MAX_UNPACKED_BYTES = 16 * 2 ** 20;
const GZIP_MAGIC = Buffer.of(0x1f, 0x8b);
/** cloud-init looks for the header of a MIME message this far. */
const MIME_WITHIN_BYTES = 4096;

/** Takes user data out of Base64 and gzip, in which other tools wrap it, and returns its kind. */
export function readUserData(bytes: Uint8Array): UserData {
  const given = Buffer.from(bytes);
  const decoded = fromBase64(given);
  const unpacked = unpack(decoded ?? given);
  const content = unpacked ?? decoded ?? given;
  const kind = kindOf(content);
  // If the result is not user data, the text was not wrapped.
  if (decoded && !unpacked && kind === null) return { content: given, wrappings: [], kind: null };
  return {
    content,
    kind,
    wrappings: [...(decoded ? ['base64' as const] : []), ...(unpacked ? ['gzip' as const] : [])],
  };
}

function kindOf(content: Buffer): UserDataKind | null {
  const start = content.subarray(0, MIME_WITHIN_BYTES).toString('latin1');
  if (/^(From |[A-Za-z][A-Za-z0-9-]*:)/.test(start) && /mime-version:/i.test(start)) return 'mime';
  const text = start.trimStart().toLowerCase();
  return BEGINNINGS.find(([beginning]) => text.startsWith(beginning))?.[1] ?? null;
}

function fromBase64(given: Buffer): Buffer | null {
  const text = given.toString('latin1').trim();
  return text.length >= 8 && /^[A-Za-z0-9+/\r\n]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : null;
}

function unpack(content: Buffer): Buffer | null {
  if (!content.subarray(0, 2).equals(GZIP_MAGIC)) return null;
  try {
    return gunzipSync(content, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch {
    return null;
  }
}
