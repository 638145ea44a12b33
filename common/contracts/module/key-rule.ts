/**
 * The types by which every field of the compiled module has to be decided on before it compiles: a table of type
 * `KeyRule<T>` names each field of T, of every variant of it, and of everything below it.
 */

/**
 * How a value enters the layerKey. `in`: as it is, a secret that its text refers to by its fingerprint. `out`: not at all.
 * `secret`: by its fingerprint under the farm's key. `content`: by the SHA-256 of the text. `source`, `file`, `object`: fields
 * that together name a content; the object enters by its content key instead of by these fields. `parent`: fields that name a
 * parent; they enter by its layerKey and VM.
 */
export type LeafRule = 'in' | 'out' | 'secret' | 'content' | 'source' | 'file' | 'object' | 'parent';

type Scalar = string | number | boolean | null;

type IsUnion<T, All = T> = T extends All ? ([All] extends [T] ? false : true) : never;

type Tag<T> = T extends { readonly kind: string } ? 'kind' : 'type';

type Variant<T, By extends string, Value> =
  T extends Readonly<Record<By, infer Own>> ? (Value extends Own ? T : never) : never;

export interface FieldRules<T> {
  readonly fields: { readonly [Field in keyof T]-?: KeyRule<T[Field]> };
}

export interface ListRule<T> {
  readonly each: KeyRule<T>;
  /** Leaves out the elements with no information beyond this field. */
  readonly unlessOnly?: keyof T & string;
}

export interface VariantRules<T, By extends Tag<T> = Tag<T>> {
  readonly by: By;
  readonly variants: {
    readonly [Value in T[By & keyof T] & string]: FieldRules<Variant<T, By, Value>>;
  };
}

/** An object can be out, or named by a content key as a whole, but never `in` as a whole: its fields are decided on. */
type ObjectRule<T> = 'out' | 'source' | 'file' | 'parent' | (true extends IsUnion<T> ? VariantRules<T> : FieldRules<T>);

type PresentRule<T> = [T] extends [Scalar | readonly Scalar[]]
  ? LeafRule
  : [T] extends [readonly (infer Element)[]]
    ? 'out' | ListRule<Element>
    : string extends keyof T
      ? 'in' | 'out'
      : ObjectRule<T>;

/** The decision on a value of type T; null is a value like any other. */
export type KeyRule<T> = PresentRule<NonNullable<T>>;

/** Type of a rule for the function that walks table and value together. */
export type AnyRule =
  | LeafRule
  | { readonly fields: Readonly<Record<string, AnyRule>> }
  | { readonly each: AnyRule; readonly unlessOnly?: string }
  | { readonly by: string; readonly variants: Readonly<Record<string, { fields: Readonly<Record<string, AnyRule>> }>> };
