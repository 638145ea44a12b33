import { isCollection, parseDocument, type Scalar, visit } from 'yaml';
import { secretNames, writtenText } from '../../../common/contracts/module/secret-text.ts';
import { readUserData } from '../../../common/contracts/user-data/kinds.ts';

/**
 * User data with its secrets in their places. In a `#cloud-config` a value that holds one is rewritten as a quoted
 * text, so that it is that text with any characters in the secret; everything else keeps its bytes, and comments get no
 * secrets.
 */
export function fillUserData(text: string, fill: (text: string) => string): string {
  if (secretNames(text).length === 0) return text;
  const { kind } = readUserData(Buffer.from(text));
  const isConfig = kind === 'cloud-config' || kind === 'cloud-config-archive';
  return (isConfig && fillScalars(text, fill)) || fill(text);
}

/** Null when the text is not YAML. */
function fillScalars(text: string, fill: (text: string) => string): string | null {
  const document = parseDocument(text, { version: '1.1', uniqueKeys: false, logLevel: 'silent' });
  if (document.errors.length > 0 || !isCollection(document.contents)) return null;
  const scalars: Scalar[] = [];
  visit(document, { Scalar: (_key, node) => void scalars.push(node) });
  let filled = '';
  let at = 0;
  for (const { value, range, type } of scalars.toSorted((a, b) => startOf(a) - startOf(b))) {
    if (!range || typeof value !== 'string' || secretNames(value).length === 0) continue;
    const isBlock = type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED';
    filled += writtenText(text.slice(at, range[0])) + quoted(fillUserData(value, fill)) + (isBlock ? '\n' : '');
    at = range[1];
  }
  return filled + writtenText(text.slice(at));
}

function startOf({ range }: Scalar): number {
  return range?.[0] ?? 0;
}

/** A text in double quotes, which YAML 1.1 reads as JSON does, except for characters that it calls not printable. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
