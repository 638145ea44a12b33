/** The outcome of reading one scalar: a value, or what is wrong with it and what to write instead. */
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

/** What stands in itself, as an alias can, has no JSON, and neither have `.nan` and `.inf`. */
function written(value: unknown): string {
  if (typeof value === 'number') return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return '...';
  }
}

/** A text that shows what stands before the hosts of URLs as `***`; of what is not a URL, up to its last `@`. */
export function withoutPasswords(text: string): string {
  const isBroken = /^\s*[\w+.:-]+:\/\//.test(text) && !URL.canParse(text);
  if (isBroken) {
    const [start, end] = [text.indexOf('://'), text.lastIndexOf('@')];
    return end < start ? text : `${text.slice(0, start)}://***${text.slice(end)}`;
  }
  return text.replaceAll(/:\/\/[^\s/?#"'<>]*@/g, '://***@').replaceAll(LOGIN, '***@');
}

/** `user:password@` before what may be a host, also without a scheme; a digest behind a tag is none. */
const LOGIN = /(?<![^\s"'(])[^\s/?#"'<>@:]+:[^\s/?#"'<>@]+@(?!sha\d+:)(?=[\w[])/g;
