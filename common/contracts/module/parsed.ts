/** The outcome of reading one scalar: a value, or the complaint with its correction. */
export type Parsed<T> = { readonly value: T } | { readonly complaint: string };

/** The value, or null when the scalar was refused. */
export function valueOrNull<T>(parsed: Parsed<T>): T | null {
  return 'value' in parsed ? parsed.value : null;
}

/** A value as people wrote it, short enough for a message, and without the passwords of URLs. */
export function quoted(value: unknown): string {
  const text = withoutPasswords(typeof value === 'string' ? value : written(value));
  return `"${text.length > 60 ? `${text.slice(0, 57)}...` : text}"`;
}

/** A value that contains itself, as an alias can, has no JSON; the same is true of `.nan` and `.inf`. */
function written(value: unknown): string {
  if (typeof value === 'number') return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return '...';
  }
}

/** A text with the credentials of its URLs as `***`; without a URL, everything up to the last `@`. */
export function withoutPasswords(text: string): string {
  const isBroken = /^\s*[\w+.:-]+:\/\//.test(text) && !URL.canParse(text);
  if (isBroken) {
    const [start, end] = [text.indexOf('://'), text.lastIndexOf('@')];
    return end < start ? text : `${text.slice(0, start)}://***${text.slice(end)}`;
  }
  return text.replaceAll(/:\/\/[^\s/?#"'<>]*@/g, '://***@').replaceAll(LOGIN, '***@');
}

/** `user:password@` before a possible host, also without a scheme; a digest behind a tag is none. */
const LOGIN = /(?<![^\s"'(])[^\s/?#"'<>@:]+:[^\s/?#"'<>@]+@(?!sha\d+:)(?=[\w[])/g;
