import fc from 'fast-check';
import { stringify } from 'yaml';

/** Where in a text or list something is done, as a share of its length: it stays a place when the text shrinks. */
const place = fc.double({ min: 0, max: 1, noNaN: true });
const at = (share: number, length: number) => Math.min(length, Math.floor(share * (length + 1)));

/** One thing done to a text. */
type Edit = (text: string) => string;

/** What texts are made of: whole ones to begin with, and pieces that mean something to who reads them. */
export interface Material {
  readonly examples: readonly string[];
  readonly pieces: readonly string[];
}

/** As often as a piece is repeated: seldom so often that what takes more than linear time shows. */
const repetitions = fc.oneof({ weight: 30, arbitrary: fc.integer({ min: 2, max: 99 }) }, fc.constant(5_000));

/** Examples with a few edits, and pieces in any order. */
export function hostileText({ examples, pieces }: Material): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...pieces) },
    fc.string({ unit: 'binary', maxLength: 6 }),
  );
  const soup = fc.array(piece, { maxLength: 60 }).map((all) => all.join(''));
  const example = fc.constantFrom(...examples);
  const edits = fc.array(edit(example, piece), { maxLength: 6 });
  const edited = fc.tuple(example, edits).map(([text, all]) => all.reduce((before, change) => change(before), text));
  return fc.oneof({ weight: 5, arbitrary: edited }, { weight: 2, arbitrary: soup });
}

function edit(example: fc.Arbitrary<string>, piece: fc.Arbitrary<string>): fc.Arbitrary<Edit> {
  const lines = (change: (all: string[], from: number, count: number) => string[]) =>
    fc.tuple(place, fc.nat(4)).map(
      ([share, count]): Edit =>
        (text) => {
          const all = text.split('\n');
          return change(all, at(share, all.length), count).join('\n');
        },
    );
  const inserted = fc.tuple(place, piece).map(
    ([share, what]): Edit =>
      (text) =>
        splice(text, share, what),
  );
  const repeated = fc.tuple(place, piece, repetitions).map(
    ([share, what, times]): Edit =>
      (text) =>
        splice(text, share, what.repeat(times)),
  );
  const crossed = fc.tuple(place, place, example).map(
    ([here, there, other]): Edit =>
      (text) =>
        text.slice(0, at(here, text.length)) + other.slice(at(there, other.length)),
  );
  const valued = fc.tuple(place, piece).map(
    ([share, what]): Edit =>
      (text) => {
        const values = [...text.matchAll(/: .+/g)];
        const { index = 0, 0: old = '' } = values[at(share, values.length - 1)] ?? {};
        return `${text.slice(0, index)}: ${what}${text.slice(index + old.length)}`;
      },
  );
  return fc.oneof(
    { weight: 3, arbitrary: inserted },
    { weight: 3, arbitrary: valued },
    { weight: 2, arbitrary: lines((all, from, count) => all.toSpliced(from, count)) },
    { weight: 2, arbitrary: lines((all, from, count) => all.toSpliced(from, 0, ...all.slice(from, from + count))) },
    {
      weight: 1,
      arbitrary: lines((all, from, count) =>
        all.with(Math.min(from, all.length - 1), `${' '.repeat(count)}${all[from] ?? ''}`),
      ),
    },
    { weight: 1, arbitrary: crossed },
    { weight: 1, arbitrary: repeated },
    {
      weight: 1,
      arbitrary: place.map(
        (share): Edit =>
          (text) =>
            text.slice(0, at(share, text.length)),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Edit>(
        (text) => text.replaceAll('\n', '\r\n'),
        (text) => `\ufeff${text}`,
        (text) => text.replaceAll('  ', '\t'),
      ),
    },
  );
}

function splice(text: string, share: number, what: string): string {
  const offset = at(share, text.length);
  return text.slice(0, offset) + what + text.slice(offset);
}

/** JSON Schema, as far as ours goes. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly type?: string | readonly string[];
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
}

const anything = fc.anything({ maxDepth: 1, maxKeys: 3 });

/** Documents by the grammar of a schema, written as YAML or JSON: most keys are known, most values have the right type. */
export function documentsOf(schema: object, words: readonly string[]): fc.Arbitrary<string> {
  const root = schema as Schema;
  const scalars: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
    boolean: fc.boolean(),
    number: fc.oneof(fc.integer({ min: -2, max: 64 }), fc.double()),
    integer: fc.oneof(fc.integer({ min: -2, max: 64 }), fc.maxSafeInteger()),
    null: fc.constant(null),
    string: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, fc.string({ unit: 'binary', maxLength: 20 })),
  };
  const valuesOf = (node: Schema, depth: number): fc.Arbitrary<unknown> => {
    const right = rightValueOf(node, depth);
    return fc.oneof({ weight: 40, arbitrary: right }, anything);
  };
  const rightValueOf = (node: Schema, depth: number): fc.Arbitrary<unknown> => {
    if (node.$ref !== undefined) return valuesOf(root.$defs?.[node.$ref.split('/').at(-1) ?? ''] ?? {}, depth);
    if (node.anyOf) return fc.oneof(...node.anyOf.map((one) => valuesOf(one, depth)));
    if (node.enum) return fc.constantFrom(...node.enum);
    if (node.const !== undefined) return fc.constant(node.const);
    if (node.pattern !== undefined && !/[\\(]\?[=!<]/.test(node.pattern)) {
      return fc.oneof(
        { weight: 3, arbitrary: fc.stringMatching(new RegExp(node.pattern)) },
        scalars['string'] ?? anything,
      );
    }
    const types = [node.type ?? []].flat();
    if (types.includes('object') || node.properties) return mapOf(node, depth);
    if (types.includes('array')) {
      return depth > 8 ? fc.constant([]) : fc.array(valuesOf(node.items ?? {}, depth + 1), { maxLength: 3 });
    }
    return types.length === 0 ? anything : fc.oneof(...types.map((type) => scalars[type] ?? anything));
  };
  const mapOf = ({ properties = {}, required = [], additionalProperties }: Schema, depth: number) => {
    if (depth > 8) return fc.constant({});
    const entries = Object.entries(properties).map(([key, value]) => {
      const isRequired = required.includes(key);
      return fc
        .option(valuesOf(value, depth + 1), { freq: isRequired ? 50 : 1, nil: undefined })
        .map((one) => [key, one] as const);
    });
    const others = typeof additionalProperties === 'object' ? valuesOf(additionalProperties, depth + 1) : anything;
    const more = fc.oneof(
      { weight: typeof additionalProperties === 'object' ? 1 : 15, arbitrary: fc.constant([]) },
      fc.array(fc.tuple(fc.constantFrom(...words), others), { maxLength: 2 }),
    );
    return fc
      .tuple(fc.tuple(...entries), more)
      .map(([known, unknown]) => Object.fromEntries([...known, ...unknown].filter(([, value]) => value !== undefined)));
  };
  const value = fc.oneof(...(root.anyOf ?? [root]).map((one) => rightValueOf(one, 0)));
  return fc.array(value, { minLength: 1, maxLength: 3 }).map((all) => all.map(written).join('---\n'));
}

/** What YAML cannot write is left out. */
function written(value: unknown): string {
  try {
    return stringify(value, { aliasDuplicateObjects: false });
  } catch {
    return 'name: m\n';
  }
}
