import { FarmError } from '../../errors/farm-error.ts';

const PLACEHOLDER = /\{\{\s*\.([A-Za-z_]\w*)\s*\}\}/g;
const BRACES = /\{\{[^{}]*(\}\}|$)/g;

/** Every `{{ .Name }}` of a text with its offset. Other uses of braces are not templates. */
export function templateNames(text: string): { name: string; offset: number }[] {
  return [...text.matchAll(PLACEHOLDER)].map((match) => ({ name: match[1] ?? '', offset: match.index }));
}

/** What stands in double braces and is not filled, such as `{{ user `name` }}` or `{{ HTTPIP }}`, with its offset. */
export function otherTemplates(text: string): { written: string; offset: number }[] {
  return [...text.matchAll(BRACES)]
    .filter(([written]) => templateNames(written).length === 0)
    .map((match) => ({ written: match[0], offset: match.index }));
}

/**
 * Replaces every `{{ .Name }}` (any spacing) by its value; values are not looked at again.
 * An unknown name is an `InvalidModule` error, or stays as it is with `unknown: 'keep'` (for files of other programs,
 * which may use the same braces).
 */
export function fillTemplate(
  text: string,
  values: Readonly<Record<string, string>>,
  unknown: 'error' | 'keep' = 'error',
): string {
  return text.replaceAll(PLACEHOLDER, (placeholder, name: string) => {
    if (Object.hasOwn(values, name)) return values[name] ?? '';
    if (unknown === 'keep') return placeholder;
    throw new FarmError('InvalidModule', `Unknown template value "${name}" in "${placeholder}"`, {
      details: { name, known: Object.keys(values) },
    });
  });
}
