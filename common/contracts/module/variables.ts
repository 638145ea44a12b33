import { isMap, isScalar, type Node } from 'yaml';
import type { Problem } from './problem.ts';
import { hasReservedCharacters, NAME_PATTERN, secretReference } from './secret-text.ts';
import { didYouMean } from './suggest.ts';
import { type Path, type SourceDocument, scalarsOf, startsWith } from './yaml-source.ts';

const REFERENCE = new RegExp(String.raw`(\$?)\$\{(var|secret)\.(${NAME_PATTERN})\}`, 'g');

/** What is meant as a reference and is none, so that it would reach the guest's shell, which cannot read it either. */
const MISWRITTEN = new RegExp(String.raw`(?<!\$)\$\{(?:var|secret)\.(${NAME_PATTERN})(?![A-Za-z0-9_-])[^}\s]+\}`, 'g');

const RESERVED = 'holds U+FDD0 or U+FDD1, which are no characters: remove them';

/** What became of the references of a document. */
export interface Substitution {
  readonly declared: readonly string[];
  readonly problems: readonly Problem[];
}

/**
 * Fills every `${var.NAME}` in the scalars of a document, in place, with the given values or the defaults of the body's
 * `variables`. `$${var.` and `$${secret.` stand for the same without the first `$`; every other `${…}` is left to the
 * guest's shell. `${secret.NAME}` becomes a `secretReference`; in the value of a variable it is plain text.
 */
export function substituteVariables(
  source: SourceDocument,
  bodyPath: Path,
  given: Readonly<Record<string, string>>,
): Substitution {
  const variablesPath = [...bodyPath, 'variables'];
  const defaults = declaredDefaults(source, variablesPath);
  const problems: Problem[] = [];
  const values = new Map<string, string>();
  for (const [name, byDefault] of defaults) {
    const value = Object.hasOwn(given, name) ? given[name] : byDefault;
    const isGiven = value !== null && value !== undefined;
    if (isGiven && !hasReservedCharacters(value)) values.set(name, value);
    else {
      const message = isGiven
        ? `the value of the variable "${name}" ${RESERVED}`
        : `the variable "${name}" has no default: give it with --var ${name}=VALUE`;
      problems.push({
        ...source.locateKey([...variablesPath, name]),
        severity: 'error',
        code: 'MissingVariable',
        message,
      });
    }
  }
  const replace = (node: Node, path: Path, text: string) =>
    text.replaceAll(REFERENCE, (reference, escaping: string, space: string, name: string) => {
      if (escaping) return reference.slice(1);
      if (space === 'secret') return secretReference(name);
      const isInDefault = startsWith(path, variablesPath);
      if (isInDefault || !defaults.has(name)) {
        const message = isInDefault
          ? `a variable cannot refer to another one: "${reference}"`
          : `there is no variable "${name}"${didYouMean(name, [...defaults.keys()])}; declare it under variables, or write $${reference} for the text itself`;
        problems.push({
          ...source.positionWithin(node, reference),
          severity: 'error',
          code: 'UnknownVariable',
          message,
        });
      }
      return values.get(name) ?? reference;
    });
  for (const { node, path } of scalarsOf(source.document.contents)) {
    if (typeof node.value !== 'string') continue;
    if (hasReservedCharacters(node.value)) {
      const message = `the text ${RESERVED}`;
      problems.push({ ...source.positionWithin(node, ''), severity: 'error', code: 'InvalidValue', message });
      node.value = '';
    } else if (node.value.includes('${')) {
      for (const [reference, name] of node.value.matchAll(MISWRITTEN)) {
        const message = `"${reference}" is no reference: write \${var.${name}} alone, with its default under variables, or $${reference} for the text itself`;
        problems.push({
          ...source.positionWithin(node, reference),
          severity: 'error',
          code: 'UnknownVariable',
          message,
        });
      }
      node.value = replace(node, path, node.value);
    }
  }
  return { declared: [...defaults.keys()], problems };
}

/** The text of each default as it is written, so that 1.10 stays 1.10; null where there is none. */
function declaredDefaults(source: SourceDocument, path: Path): Map<string, string | null> {
  const declared = new Map<string, string | null>();
  const node = source.document.getIn(path, true);
  if (!isMap<Node, Node>(node)) return declared;
  for (const { key, value } of node.items) {
    if (!isScalar(key)) continue;
    const byDefault = isMap(value) ? value.get('default', true) : value;
    const isGiven = isScalar(byDefault) && byDefault.value !== null;
    const written = isGiven && typeof byDefault.value !== 'string' ? byDefault.source : undefined;
    declared.set(String(key.value), isGiven ? (written ?? String(byDefault.value)) : null);
  }
  return declared;
}
