import { z } from 'zod';
import type { Parsed } from './module/parsed.ts';
import { NAME_PATTERN } from './module/secret-text.ts';

/** Longest value, in bytes of UTF-8. */
export const MAX_SECRET_BYTES = 64 * 1024;

export const secretNameSchema = z
  .string()
  .max(128)
  .regex(
    new RegExp(`^(?!__proto__$)${NAME_PATTERN}$`),
    'Name it with letters, digits, _ and -, beginning with a letter or _.',
  );

const TOO_LONG = 'The value is longer than 64 KiB.';

/** The body that sets a value: the value itself. */
export const secretValueSchema = z
  .string()
  .min(1, 'The value is empty.')
  .regex(/^[^\0\ufdd0\ufdd1]*$/, 'The value contains a NUL character, U+FDD0 or U+FDD1, which a secret cannot contain.')
  .max(MAX_SECRET_BYTES, { error: TOO_LONG, abort: true })
  .refine((text) => new TextEncoder().encode(text).length <= MAX_SECRET_BYTES, TOO_LONG)
  .describe('UTF-8, at most 64 KiB.');

/** The readable part of a secret: never its value. */
export const secretViewSchema = z.object({
  name: z.string(),
  /** Name of the token that set it last. */
  setBy: z.string(),
  /** Milliseconds since the Unix epoch. */
  setAt: z.int(),
});
export type SecretView = z.infer<typeof secretViewSchema>;

/** The value of the bytes; complaints never quote it. */
export function readSecretValue(bytes: Uint8Array): Parsed<string> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return {
      complaint: 'The value is not UTF-8 text: encode it, for example with base64, and decode it in the guest.',
    };
  }
  const read = secretValueSchema.safeParse(text);
  return read.success ? { value: read.data } : { complaint: read.error.issues.map(({ message }) => message).join(' ') };
}
