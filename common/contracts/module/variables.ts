import { isMap, isScalar, type Node } from 'yaml';
import { unusableCharacter, unusableMessage } from './characters.ts';
import type { Position } from './position.ts';
import { hasReservedCharacters, NAME_PATTERN, secretReference } from './secret-text.ts';
import { didYouMean } from './suggest.ts';
import { TEXT_LIMITS, type YamlBudget } from './yaml-limits.ts';
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
  const filling = new Filling(source, substitution);
  for (const { node, path } of scalarsOf(source.document.contents)) {
    if (typeof node.value === 'string') node.value = filling.fill(node, path, node.value);
  }
  return filling.names;
}

/** A scalar and its path. */
interface Place {
  readonly node: Node;
  readonly path: Path;
}

/** The values of the variables of one document, and the filling of its texts with them. */
class Filling {
  readonly #declared: ReadonlySet<string>;
  readonly #source: SourceDocument;
  readonly #substitution: Substitution;
  readonly #variablesPath: Path;
  readonly #values = new Map<string, string>();

  constructor(source: SourceDocument, substitution: Substitution) {
    this.#source = source;
    this.#substitution = substitution;
    this.#variablesPath = [...substitution.bodyPath, 'variables'];
    const defaults = declaredDefaults(source, this.#variablesPath);
    this.#declared = new Set(defaults.keys());
    for (const [name, byDefault] of defaults) this.#declare(name, byDefault);
  }

  /** Of the declared variables. */
  get names(): readonly string[] {
    return [...this.#declared];
  }

  /** The text with the values of its references; '' where it cannot be used. */
  fill(node: Node, path: Path, text: string): string {
    if (hasReservedCharacters(text)) {
      this.#reportAt(node, '', { code: 'InvalidValue', message: () => `the text ${RESERVED}` });
      return '';
    }
    if (text.includes('${')) this.#reportMiswritten(node, text);
    const filled = text.includes('${') ? this.#filled({ node, path }, text) : text;
    const unusable = unusableCharacter(filled);
    if (unusable !== undefined) {
      this.#reportAt(node, unusable, { code: 'InvalidValue', message: () => `the text ${unusableMessage(unusable)}` });
    }
    return filled;
  }

  #declare(name: string, byDefault: string | null | undefined): void {
    const { given } = this.#substitution;
    const value = Object.hasOwn(given, name) ? given[name] : byDefault;
    const isGiven = value !== null && value !== undefined;
    if (isGiven && !hasReservedCharacters(value)) this.#values.set(name, value);
    // The shape of its declaration is reported.
    if (value === undefined || this.#values.has(name)) return;
    const message = isGiven
      ? `the value of the variable "${name}" ${RESERVED}`
      : `the variable "${name}" has no default: give it with --var ${name}=VALUE`;
    const describe = () => ({ ...this.#source.locateKey([...this.#variablesPath, name]), message });
    this.#substitution.report({ code: 'MissingVariable', describe });
  }

  #filled(place: Place, text: string): string {
    let grown = text.length;
    const filled = text.replaceAll(REFERENCE, (reference, escaping: string, space: string, name: string) => {
      if (escaping) return reference.slice(1);
      if (space === 'secret') return secretReference(name);
      const value = this.#valueOf(place, reference, name);
      grown += value.length;
      return grown > TEXT_LIMITS.characters ? '' : value;
    });
    if (grown <= TEXT_LIMITS.characters && this.#substitution.budget.takeFilled(grown)) return filled;
    const message = () =>
      `with the values of its variables this text is too long: at most ${TEXT_LIMITS.characters} characters, and ${this.#substitution.budget.limits.filled} in all of a request`;
    this.#reportAt(place.node, '', { code: 'TooLarge', message });
    return '';
  }

  #valueOf({ node, path }: Place, reference: string, name: string): string {
    const isInDefault = startsWith(path, this.#variablesPath);
    if (isInDefault || !this.#declared.has(name)) {
      const message = () =>
        isInDefault
          ? `a variable cannot refer to another one: "${reference}"`
          : `unknown variable "${name}"${didYouMean(name, this.names)}; declare it under variables, or write $${reference} for the text itself`;
      this.#reportAt(node, reference, { code: 'UnknownVariable', message });
    }
    return this.#values.get(name) ?? reference;
  }

  #reportMiswritten(node: Node, text: string): void {
    for (const [reference, name] of text.matchAll(MISWRITTEN)) {
      const message = () =>
        `"${reference}" is not a reference: write \${var.${name}} alone, with its default under variables, or $${reference} for the text itself`;
      this.#reportAt(node, reference, { code: 'UnknownVariable', message });
    }
  }

  /** Reports a part of a text; '' is its beginning. */
  #reportAt(
    node: Node,
    part: string,
    { code, message }: { readonly code: VariableProblem['code']; readonly message: () => string },
  ): void {
    const describe = () => ({ ...this.#source.positionWithin(node, part), message: message() });
    this.#substitution.report({ code, describe });
  }
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
