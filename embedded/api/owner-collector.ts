import type { Logger } from '../../common/logging/logger.ts';
import { ApiError } from './api-error.ts';
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from './deletion.ts';
import { type KubeObject, keyOf } from './objects.ts';
import type { Store, StoreEvent } from './store.ts';

/**
 * Deletes owned objects when their last owner is gone (owner-reference garbage collection), and serves the two finalizers
 * by which a deletion waits for, or releases, owned objects. Works in the background and in order; all that it
 * does follows from the stored objects, so a restart loses no state.
 */
export class OwnerCollector {
  readonly #store: Store;
  readonly #logger: Logger;
  /** Owner uid to the owned objects. */
  readonly #owned = new Map<string, Map<string, KubeObject>>();
  readonly #pending = new Map<string, () => Promise<void>>();
  #isWorking = false;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Watches all kinds until the signal is aborted. */
  start(signal: AbortSignal): void {
    const kinds = this.#store.kinds.map((kind) => kind.kind);
    this.#store.subscribe(kinds, (event) => this.#observe(event), signal);
  }

  #observe({ type, object, previous }: StoreEvent): void {
    const uid = object.metadata.uid ?? '';
    for (const owner of previous?.metadata.ownerReferences ?? []) this.#owned.get(owner.uid)?.delete(uid);
    const owners = object.metadata.ownerReferences ?? [];
    if (type === 'DELETED') {
      for (const owned of this.#owned.get(uid)?.values() ?? []) this.#enqueueOwned(owned);
      this.#owned.delete(uid);
      for (const owner of owners) {
        const ref = this.#store.get(owner.kind, { namespace: object.metadata.namespace, name: owner.name });
        if (ref) this.#enqueueOwner(ref);
      }
      return;
    }
    for (const owner of owners) {
      const owned = this.#owned.get(owner.uid) ?? new Map<string, KubeObject>();
      this.#owned.set(owner.uid, owned.set(uid, object));
    }
    if (owners.length > 0) this.#enqueueOwned(object);
    if (object.metadata.deletionTimestamp !== undefined) this.#enqueueOwner(object);
  }

  #enqueueOwned(object: KubeObject): void {
    const hasDeadOwner = object.metadata.ownerReferences?.some((owner) => !this.#store.hasUid(owner.uid));
    if (hasDeadOwner) this.#enqueue(`owned/${object.metadata.uid}`, () => this.#reconcileOwned(object));
  }

  #enqueueOwner(object: KubeObject): void {
    const finalizers = object.metadata.finalizers ?? [];
    if (finalizers.includes(FOREGROUND_FINALIZER) || finalizers.includes(ORPHAN_FINALIZER)) {
      this.#enqueue(`owner/${object.metadata.uid}`, () => this.#reconcileOwner(object));
    }
  }

  #enqueue(id: string, work: () => Promise<void>): void {
    this.#pending.delete(id);
    this.#pending.set(id, work);
    if (this.#isWorking) return;
    this.#isWorking = true;
    setImmediate(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    for (const [id, work] of this.#pending) {
      this.#pending.delete(id);
      try {
        await work();
      } catch (error) {
        const isGone = error instanceof ApiError && (error.code === 404 || error.code === 409);
        if (!isGone) this.#logger.error({ err: error, id }, 'Collecting an owned object failed');
      }
    }
    this.#isWorking = false;
  }

  /** Deletes an object none of whose owners lives; otherwise drops the dead owners from its list. */
  async #reconcileOwned(seen: KubeObject): Promise<void> {
    const object = this.#store.get(seen.kind, keyOf(seen));
    const owners = object?.metadata.ownerReferences ?? [];
    if (!object || object.metadata.uid !== seen.metadata.uid || owners.length === 0) return;
    const living = owners.filter((owner) => this.#store.hasUid(owner.uid));
    if (living.length === owners.length) return;
    if (living.length === 0) {
      if (object.metadata.deletionTimestamp !== undefined) return;
      await this.#store.delete(object.kind, keyOf(object), { preconditions: { uid: object.metadata.uid } });
      return;
    }
    await this.#store.mutate(object.kind, keyOf(object), (draft) => {
      draft.metadata.ownerReferences = living;
    });
  }

  async #reconcileOwner(seen: KubeObject): Promise<void> {
    const owner = this.#store.get(seen.kind, keyOf(seen));
    const uid = owner?.metadata.uid;
    if (!owner || uid === undefined || uid !== seen.metadata.uid) return;
    const owned = [...(this.#owned.get(uid)?.values() ?? [])];
    if (owner.metadata.finalizers?.includes(ORPHAN_FINALIZER)) {
      for (const object of owned) await this.#release(object, uid);
      await this.#dropFinalizer(owner, ORPHAN_FINALIZER);
      return;
    }
    if (owned.length === 0) {
      await this.#dropFinalizer(owner, FOREGROUND_FINALIZER);
      return;
    }
    for (const object of owned) {
      if (object.metadata.deletionTimestamp === undefined) await this.#store.delete(object.kind, keyOf(object));
    }
  }

  async #release(object: KubeObject, ownerUid: string): Promise<void> {
    await this.#store.mutate(object.kind, keyOf(object), (draft) => {
      const rest = draft.metadata.ownerReferences?.filter((owner) => owner.uid !== ownerUid) ?? [];
      if (rest.length > 0) draft.metadata.ownerReferences = rest;
      else delete draft.metadata.ownerReferences;
    });
  }

  async #dropFinalizer(object: KubeObject, finalizer: string): Promise<void> {
    await this.#store.mutate(object.kind, keyOf(object), (draft) => {
      draft.metadata.finalizers = draft.metadata.finalizers?.filter((name) => name !== finalizer) ?? [];
    });
  }
}
