import { deepFreeze } from './frozen.ts';
import type { KubeObject, ObjectKey, ResourceKind } from './objects.ts';
import type { StoreSnapshot } from './replay-journal.ts';

/** All objects of a store in memory, frozen, by kind and id, and their uids. */
export class ObjectTables {
  readonly #tables: ReadonlyMap<string, Map<string, KubeObject>>;
  readonly #uids = new Set<string>();

  constructor(kinds: readonly ResourceKind[]) {
    this.#tables = new Map(kinds.map((kind) => [kind.kind, new Map()]));
  }

  /** The objects of a kind by id; empty for an unknown kind. */
  of(kind: string): ReadonlyMap<string, KubeObject> {
    return this.#tables.get(kind) ?? new Map();
  }

  /** Whether an object with this uid exists. */
  hasUid(uid: string): boolean {
    return this.#uids.has(uid);
  }

  /** Replaces, adds or (undefined) removes an object. Unknown kinds are ignored. Returns the former object. */
  set(kind: string, id: string, object: KubeObject | undefined): KubeObject | undefined {
    const table = this.#tables.get(kind);
    const previous = table?.get(id);
    const uid = (object ?? previous)?.metadata.uid ?? '';
    if (object) {
      table?.set(id, deepFreeze(object));
      if (table) this.#uids.add(uid);
    } else {
      table?.delete(id);
      this.#uids.delete(uid);
    }
    return previous;
  }

  /** Every object, as a journal folds them. */
  all(): StoreSnapshot['objects'] {
    return [...this.#tables].flatMap(([kind, table]) =>
      [...table].map(([id, object]) => ({ id: `${kind}/${id}`, object })),
    );
  }
}

/** Id of an object within its kind. */
export function idOf(key: ObjectKey): string {
  return `${key.namespace ?? ''}/${key.name}`;
}
