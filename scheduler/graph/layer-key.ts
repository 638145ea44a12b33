import { hash } from 'node:crypto';
import type { CompiledModule, VmSource } from '../../common/contracts/module/compiled.ts';
import type { Checksum, ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import type { AnyRule } from '../../common/contracts/module/key-rule.ts';
import { fillSecrets, secretReference } from '../../common/contracts/module/secret-text.ts';
import { STEP_TYPES } from '../../common/contracts/module/step-types.ts';
import { objectKeyName } from '../../common/contracts/object-content.ts';
import { own } from '../../common/contracts/own.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { canonicalJson, type Json } from './canonical-json.ts';
import {
  type ContentIdentity,
  claimIdentity,
  type Facts,
  fileIdentity,
  imageIdentity,
  objectIdentity,
  sourceIdentity,
} from './facts.ts';
import { KEY_FIELDS, KEY_SCHEMA } from './key-fields.ts';

/** The VM of a layer that a VM starts from. */
export interface ParentReference {
  readonly layerKey: string;
  readonly vm: string;
}

export interface RecipeKeyInput {
  readonly facts: Facts;
  /** Parent of each VM with a `buildRef`, by the name of the VM. */
  readonly parents: ReadonlyMap<string, ParentReference>;
  /** A keyed hash (HMAC) of a secret, always the same for the same secret. */
  readonly fingerprint: (secret: string) => string;
  /** Enters together with unknown content, so that no other plan gives the same key; without it keys can be compared. */
  readonly nonce?: string | undefined;
}

export interface RecipeKey {
  /** SHA-256 in lower-case hexadecimal. */
  readonly recipeKey: string;
  /** URLs, names and secrets with unknown content: if any exist, the key is provisional. */
  readonly unresolved: readonly string[];
}

/**
 * Key of a module's recipe: all layers made from the same recipe have it. It is also the layerKey of the
 * first of them; `KEY_FIELDS` defines its inputs.
 */
export function recipeKey(module: CompiledModule, input: RecipeKeyInput): RecipeKey {
  const unresolved = new Set<string>();
  const projected = project(KEY_FIELDS as AnyRule, module, { input, unresolved });
  const types = new Set(module.vms.flatMap((vm) => vm.steps.map((step) => step.type)));
  const steps = Object.fromEntries([...types].map((type) => [type, STEP_TYPES[type].version]));
  const text = canonicalJson({ schema: KEY_SCHEMA, steps, module: projected });
  return { recipeKey: sha256(text), unresolved: [...unresolved] };
}

/** The layerKey of the layer that is made from a recipe when the one with this layerKey is not to be used any more. */
export function nextLayerKey(recipe: string, layerKey: string): string {
  return sha256(canonicalJson({ recipe, after: layerKey }));
}

interface Walk {
  readonly input: RecipeKeyInput;
  readonly unresolved: Set<string>;
  /** Name of the VM that is being walked. */
  readonly vm?: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Selects the parts of a value that its rule includes. `KeyRule` guarantees that rule and value have the same shape. */
function project(rule: AnyRule, value: unknown, walk: Walk): Json {
  if (value === null) return null;
  if (typeof rule === 'string') return rule === 'in' ? withPrints(value as Json, walk) : projectLeaf(rule, value, walk);
  if ('each' in rule) return projectList(rule, value as readonly Fields[], walk);
  const object = value as Fields;
  const fields = 'fields' in rule ? rule.fields : rule.variants[String(object[rule.by])]?.fields;
  assert(fields, 'Every variant of the compiled module has its fields in the table of layer keys.');
  return projectFields(fields, object, walk);
}

function projectLeaf(rule: string, value: unknown, walk: Walk): Json {
  const text = withPrints(String(value), walk) as string;
  if (rule === 'secret') return walk.input.fingerprint(text);
  assert(rule === 'content', `The rule ${rule} is for the fields of an object.`);
  return sha256(text);
}

/** In every text of a value, secrets by their fingerprints instead of their names: their values count. */
function withPrints(value: Json, walk: Walk): Json {
  if (typeof value === 'string') return fillSecrets(value, (name) => secretReference(fingerprintOf(name, walk)));
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withPrints(item, walk));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withPrints(item, walk)]));
}

function fingerprintOf(name: string, { input, unresolved }: Walk): string {
  const known = own(input.facts.secrets, name);
  if (known === undefined) unresolved.add(`the secret "${name}"`);
  return known ?? name;
}

function projectList(rule: { each: AnyRule; unlessOnly?: string }, value: readonly Fields[], walk: Walk): Json {
  const kept = value.map((element) => project(rule.each, element, walk));
  const { unlessOnly } = rule;
  if (unlessOnly === undefined) return kept;
  return kept.filter((element) =>
    Object.entries(element ?? {}).some(([field, member]) => field !== unlessOnly && member !== null),
  );
}

function projectFields(rules: Readonly<Record<string, AnyRule>>, object: Fields, walk: Walk): Json {
  // An object with steps is a VM; below it, `parent` needs the VM.
  const inner = 'steps' in rules ? { ...walk, vm: String(object['name']) } : walk;
  const kept: Record<string, Json> = {};
  for (const [field, rule] of Object.entries(rules)) {
    // Fields that are absent in all modules of former versions must not change their keys.
    if (object[field] === undefined && !isNaming(rule) && rule !== 'parent') continue;
    if (isNaming(rule)) kept['identity'] ??= contentKey(rule, object, inner);
    else if (rule === 'parent') kept['parent'] ??= parentKey(inner);
    else if (rule !== 'out') kept[field] = project(rule, object[field], inner);
  }
  return kept;
}

/** The rules of fields that together name a content. */
type Naming = 'source' | 'file' | 'object';

function isNaming(rule: AnyRule): rule is Naming {
  return rule === 'source' || rule === 'file' || rule === 'object';
}

function contentKey(rule: Naming, object: Fields, { input, unresolved }: Walk): string {
  const { name, identity, provisional } = contentOf(rule, object, input.facts);
  // With a `maxAge` it counts as unchanged until a layer made from it is too old.
  if (!provisional || object['maxAgeMs'] !== undefined) return identity;
  unresolved.add(name);
  return input.nonce === undefined ? identity : `${identity} ${input.nonce}`;
}

function contentOf(rule: Naming, object: Fields, facts: Facts): ContentIdentity & { readonly name: string } {
  if (rule === 'object') {
    const ref = object as unknown as ObjectKeyRef;
    return { name: objectKeyName(ref), ...objectIdentity(ref, facts) };
  }
  const source = object as unknown as VmSource;
  if (source.kind === 'containerDisk') return { name: source.image, ...imageIdentity(source.image, facts) };
  if (source.kind === 'sourcePvc') return { name: `PersistentVolumeClaim "${source.name}"`, ...claimIdentity(source) };
  const url = String(object['url']);
  const checksum = (object['checksum'] ?? null) as Checksum | null;
  return { name: url, ...(rule === 'file' ? fileIdentity : sourceIdentity)(url, checksum, facts) };
}

function parentKey({ input, vm }: Walk): Json {
  const parent = input.parents.get(vm ?? '');
  assert(parent, `The parent of VM "${vm}" is known before its layerKey is made.`);
  return { layerKey: parent.layerKey, vm: parent.vm };
}

function sha256(text: string): string {
  return hash('sha256', text);
}
