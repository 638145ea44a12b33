import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { manifests, ownNamespace } from './manifests.ts';
import { type Condition, type Insert, isInsert, type Manifest } from './parts.ts';
import { type Slot, VALUES } from './values.ts';

/** The default deployment, as `kubectl apply` takes it. */
export function plainManifests(): Manifest[] {
  const scope = { name: 'slipway', namespace: 'slipway-system', values: VALUES };
  const parts = manifests(scope).filter(({ when }) => when === undefined || holds(when));
  return [ownNamespace(scope), ...parts.flatMap(({ objects }) => objects)].map((object) => fill(object) as Manifest);
}

/** Text of `deploy/kubernetes.yaml`. */
export function plainText(): string {
  const head =
    '# Made by `npm run manifests` from deploy/kubernetes/. docs/operations.md says what to change before it is applied.\n';
  const documents = plainManifests().map((object) => stringify(object, { lineWidth: 0 }));
  return `${head}${documents.join('---\n')}`;
}

/** True when a condition holds for the default values. */
export function holds({ path, is }: Condition): boolean {
  const value = path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], VALUES);
  return is === undefined ? value === true : value === is;
}

/** YAML as Helm's `toYaml` writes it: keys in order, lists not indented, no line end. */
export function sortedYaml(value: unknown): string {
  return stringify(value, { sortMapEntries: true, indentSeq: false, lineWidth: 0 }).trimEnd();
}

function fill(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fill);
  if (typeof value !== 'object' || value === null) return value;
  if (isInsert(value)) return inserted(value);
  if ('whole' in value) return value.whole;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, child]) => [key, fill(child)] as const)
      .filter(([, child]) => child !== undefined),
  );
}

function inserted({ insert, slot, when, otherwise }: Insert): unknown {
  const value = bare(slot);
  if (insert === 'or') return value === '' ? otherwise : value;
  if (insert === 'when') return when && holds(when) ? value : undefined;
  const text = sortedYaml(value);
  return insert === 'yaml' ? `${text}\n` : createHash('sha256').update(text).digest('hex');
}

function bare(slot: Slot): unknown {
  return typeof slot === 'object' ? slot.whole : slot;
}
