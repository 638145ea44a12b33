import { isMap, isScalar, type Node } from 'yaml';
import { unusableCharacter, unusableMessage } from './characters.ts';
import type { Position } from './position.ts';
import { hasReservedCharacters, NAME_PATTERN, secretReference } from './secret-text.ts';
import { didYouMean } from './suggest.ts';
import { YAML_LIMITS, type YamlBudget } from './yaml-limits.ts';
import { type Path, scalarsOf, startsWith } from './yaml-nodes.ts';
import type { SourceDocument } from './yaml-source.ts';

const REFERENCE = new RegExp(String.raw`(\$?)\$\{(var|secret)\.(${NAME_PATTERN})\}`, 'g');

/** Text that resembles a reference but is not one, so that it would reach the guest's shell, which cannot read it either. */
const MISWRITTEN = new RegExp(String.raw`(?<!\$)\$\{(?:var|secret)\.(${NAME_PATTERN})(?![A-Za-z0-9_-])[^{}\s]+\}`, 'g');

const RESERVED = 'contains U+FDD0 or U+FDD1, which are not characters: remove them';

/** Something wrong with a variable or a reference to one. */
export interface VariableProblem {
  readonly code: 'MissingVariable' | 'UnknownVariable' | 'InvalidValue' | 'TooLarge';
  readonly describe: () => Position & { readonly message: string };
}

/** Values of the variables, and the receiver of problems. */
export interface Substitution {
  readonly bodyPath: Path;
  readonly given: Readonly<Record<string, string>>;
  readonly budget: YamlBudget;
  report(problem: VariableProblem): void;
}

/**
 * Fills every `${var.NAME}` in the scalars of a document, in place, with the given values or the defaults of the body's
 * `variables`. `$${var.` and `$${secret.` stand for the same without the first `$`; every other `${…}` is left to the
 * guest's shell. `${secret.NAME}` becomes a `secretReference`; in the value of a variable it is plain text. Returns the
 * names of the declared variables.
 */
export function substituteVariables(source: SourceDocument, substitution: Substitution): readonly string[] {
  const { bodyPath, given, budget } = substitution;
  const variablesPath = [...bodyPath, 'variables'];
  const defaults = declaredDefaults(source, variablesPath);
  const report = (code: VariableProblem['code'], place: () => Position, message: () => string) =>
    substitution.report({ code, describe: () => ({ ...place(), message: message() }) });
  const values = new Map<string, string>();
  for (const [name, byDefault] of defaults) {
    const value = Object.hasOwn(given, name) ? given[name] : byDefault;
    const isGiven = value !== null && value !== undefined;
    if (isGiven && !hasReservedCharacters(value)) values.set(name, value);
    // The shape of its declaration is reported.
    else if (value !== undefined) {
      const message = isGiven
        ? `the value of the variable "${name}" ${RESERVED}`
        : `the variable "${name}" has no default: give it with --var ${name}=VALUE`;
      report(
        'MissingVariable',
        () => source.locateKey([...variablesPath, name]),
        () => message,
      );
    }
  }
  const fill = (node: Node, path: Path, text: string): string => {
    let grown = text.length;
    const filled = text.replaceAll(REFERENCE, (reference, escaping: string, space: string, name: string) => {
      if (escaping) return reference.slice(1);
      if (space === 'secret') return secretReference(name);
      const isInDefault = startsWith(path, variablesPath);
      if (isInDefault || !defaults.has(name)) {
        const message = () =>
          isInDefault
            ? `a variable cannot refer to another one: "${reference}"`
            : `unknown variable "${name}"${didYouMean(name, [...defaults.keys()])}; declare it under variables, or write $${reference} for the text itself`;
        report('UnknownVariable', () => source.positionWithin(node, reference), message);
      }
      const value = values.get(name) ?? reference;
      grown += value.length;
      return grown > YAML_LIMITS.characters ? '' : value;
    });
    if (grown <= YAML_LIMITS.characters && budget.takeFilled(grown)) return filled;
    const message = `with the values of its variables this text is too long: at most ${YAML_LIMITS.characters} characters, and ${YAML_LIMITS.filled} in all of a request`;
    report(
      'TooLarge',
      () => source.positionWithin(node, ''),
      () => message,
    );
    return '';
  };
  for (const { node, path } of scalarsOf(source.document.contents)) {
    if (typeof node.value !== 'string') continue;
    if (hasReservedCharacters(node.value)) {
      report(
        'InvalidValue',
        () => source.positionWithin(node, ''),
        () => `the text ${RESERVED}`,
      );
      node.value = '';
    } else if (node.value.includes('${')) {
      for (const [reference, name] of node.value.matchAll(MISWRITTEN)) {
        const message = `"${reference}" is not a reference: write \${var.${name}} alone, with its default under variables, or $${reference} for the text itself`;
        report(
          'UnknownVariable',
          () => source.positionWithin(node, reference),
          () => message,
        );
      }
      node.value = fill(node, path, node.value);
    }
    const unusable = unusableCharacter(String(node.value));
    if (unusable !== undefined) {
      report(
        'InvalidValue',
        () => source.positionWithin(node, unusable),
        () => `the text ${unusableMessage(unusable)}`,
      );
    }
  }
  return [...defaults.keys()];
}

/** The text of each default as it is written, so that 1.10 stays 1.10; null where there is none, undefined where it is misshapen. */
function declaredDefaults(source: SourceDocument, path: Path): Map<string, string | null | undefined> {
  const declared = new Map<string, string | null | undefined>();
  const node = source.document.getIn(path, true);
  if (!isMap<Node, Node>(node)) return declared;
  for (const { key, value } of node.items) {
    if (!isScalar(key)) continue;
    const byDefault = isMap(value) ? value.get('default', true) : value;
    const isGiven = isScalar(byDefault) && byDefault.value !== null;
    const written = isGiven && typeof byDefault.value !== 'string' ? byDefault.source : undefined;
    const isShaped = isMap(value)
      ? value.items.every((item) => isKnownKey(item.key))
      : value === null || isScalar(value);
    const isNone = byDefault === undefined || byDefault === null || isScalar(byDefault);
    const none = isShaped && isNone ? null : undefined;
    declared.set(String(key.value), isGiven ? (written ?? String(byDefault.value)) : none);
  }
  return declared;
}

function isKnownKey(key: unknown): boolean {
  return isScalar(key) && (key.value === 'default' || key.value === 'description');
}
