import { FarmError } from '../../errors/farm-error.ts';

const PLACEHOLDER = /\{\{\s*\.([A-Za-z_]\w*)\s*\}\}/g;
/** Packer's functions, and the trim markers of its engine: `{{ env `HOME` }}`, `{{isotime}}`, `{{- .HTTPIP -}}`. */
const PACKER_FUNCTION =
  /\{\{-?\s*(?:(?:user|env|build|isotime|timestamp|uuid|template_dir|pwd|lower|upper|clean_resource_name|consul_key|vault|aws_secretsmanager|split|replace_all|replace|strftime|packer_version|build_name|build_type)\b[^{}]*|(?<=-\s*)\.\w+\s*-?|\.\w+\s*-)\}\}/g;

/** Every `{{ .Name }}` of a text with its offset. Other uses of braces are not templates. */
export function templateNames(text: string): { name: string; offset: number }[] {
  return [...text.matchAll(PLACEHOLDER)].map((match) => ({ name: match[1] ?? '', offset: match.index }));
}

/** A feature of Packer's templates only, such as `{{ user `name` }}`, with its offset. */
export function packerFunctions(text: string): { written: string; offset: number }[] {
  return [...text.matchAll(PACKER_FUNCTION)].map((match) => ({ written: match[0], offset: match.index }));
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
