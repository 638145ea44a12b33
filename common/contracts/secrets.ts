import { z } from 'zod';
import type { Parsed } from './module/parsed.ts';
import { hasReservedCharacters, NAME_PATTERN } from './module/secret-text.ts';

/** Longest value, in bytes of UTF-8. */
export const MAX_SECRET_BYTES = 64 * 1024;

export const secretNameSchema = z
  .string()
  .max(128)
  .regex(
    new RegExp(`^(?!__proto__$)${NAME_PATTERN}$`),
    'Name it with letters, digits, _ and -, beginning with a letter or _.',
  );

/** The body that sets a value: nothing but the value. */
export const secretValueSchema = z.string().min(1).max(MAX_SECRET_BYTES).describe('UTF-8, at most 64 KiB.');

/** What can be read of a secret: never its value. */
export const secretViewSchema = z.object({
  name: z.string(),
  /** Name of the token that set it last. */
  setBy: z.string(),
  /** Milliseconds since the Unix epoch. */
  setAt: z.int(),
});
export type SecretView = z.infer<typeof secretViewSchema>;

/** The value that bytes are; what is wrong with them never quotes them. */
export function readSecretValue(bytes: Uint8Array): Parsed<string> {
  if (bytes.length === 0) return { complaint: 'is empty' };
  if (bytes.length > MAX_SECRET_BYTES) return { complaint: `is longer than ${MAX_SECRET_BYTES / 1024} KiB` };
  let value: string;
  try {
    value = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { complaint: 'is no UTF-8 text: encode it, for example with base64, and decode it in the guest' };
  }
  if (value.includes('\0')) return { complaint: 'holds a NUL character, which no script or environment can' };
  return hasReservedCharacters(value) ? { complaint: 'holds U+FDD0 or U+FDD1, which are no characters' } : { value };
}
