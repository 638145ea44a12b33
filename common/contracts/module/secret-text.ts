/**
 * Texts in which secrets are referred to. In a compiled module a reference is the secret's name between two
 * noncharacters, which Unicode keeps for a program's own use: text that a person writes is never mistaken for one.
 */
const OPEN = '\ufdd0';
const CLOSE = '\ufdd1';
const RESERVED = /[\ufdd0\ufdd1]/;
const REFERENCE = /\ufdd0([^\ufdd0\ufdd1]*)\ufdd1/g;

/** Names of variables and of secrets. */
export const NAME_PATTERN = '[A-Za-z_][A-Za-z0-9_-]*';

/** How a reference to a secret is in a compiled text. */
export function secretReference(name: string): string {
  return `${OPEN}${name}${CLOSE}`;
}

/** True for a text that a person cannot mean: it holds what only references are made of. */
export function hasReservedCharacters(text: string): boolean {
  return RESERVED.test(text);
}

/** The names that a compiled text refers to, in its order. */
export function secretNames(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(([, name = '']) => name);
}

/** Replaces every reference; the replacements are not scanned again. */
export function fillSecrets(text: string, secretValue: (name: string) => string): string {
  return text.includes(OPEN) ? text.replaceAll(REFERENCE, (_, name: string) => secretValue(name)) : text;
}

/** The name of the reference that begins at an offset, if one does. */
export function secretAt(text: string, offset: number): string | undefined {
  if (text[offset] !== OPEN) return undefined;
  const end = text.indexOf(CLOSE, offset);
  return end === -1 ? undefined : text.slice(offset + 1, end);
}

/** A compiled text as its author wrote it. */
export function writtenText(text: string): string {
  return fillSecrets(text, writtenReference);
}

export function writtenReference(name: string): string {
  return `\${secret.${name}}`;
}
