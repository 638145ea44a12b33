import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { ApiError, alreadyExists, conflict, expired, forbidden, notFound } from './api-error.ts';
import { type DeleteOptions, markDeleted, unmetPrecondition } from './deletion.ts';
import { addedEvent, EventFeed, restoredEvent, type StoreEvent, type StoreListener } from './event-feed.ts';
import { deepFreeze } from './frozen.ts';
import { Journal } from './journal.ts';
import { JOURNAL_RESERVE_BYTES } from './journal-reserve.ts';
import { withGeneratedName } from './names.ts';
import { finalizersOf, firstMetadata, isSameIntent, staleWrite, systemFieldsOf } from './object-rules.ts';
import { idOf, ObjectTables } from './object-tables.ts';
import { type KubeObject, keyOf, type ObjectKey, type ResourceKind } from './objects.ts';
import type { JournalRecord, StoreSnapshot } from './replay-journal.ts';
import { compileLabelSelector } from './selectors.ts';

export type { DeleteOptions } from './deletion.ts';
export type { StoreEvent, StoreListener } from './event-feed.ts';

/** Dependencies of a store. */
export interface StoreOptions {
  /** Where snapshot and journal are kept; created when absent. */
  readonly directory: string;
  readonly kinds: readonly ResourceKind[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** How many of the last events a watch may go back. @defaultValue 4096 */
  readonly windowSize?: number;
}

/** Narrows a list. */
export interface ListOptions {
  readonly namespace?: string | undefined;
  /** In the text form of the Kubernetes API: `a=b,c in (d,e),!f`. */
  readonly labelSelector?: string | undefined;
}

/** Result of a deletion: the object's last state, and whether it is gone or waits for finalizers. */
export interface Deletion {
  readonly object: KubeObject;
  readonly removed: boolean;
}

/** A restart skips this many resourceVersions, so that none that a client saw before a crash is ever used again. */
const RESTART_GAP = 1000;
/** Of an empty store. Below it there is the past, as on every server that clients reach. */
const FIRST_VERSION = 2;

/**
 * All objects of the embedded cluster: in memory for reading, in a journal for surviving. Reads are synchronous and
 * hand out frozen objects (clone them to change them). Writes apply at once, are announced at once, and resolve when
 * they are on disk; what clients are shown waits for `onDisk`. All kinds share one resourceVersion counter.
 *
 * Refusals are ApiErrors (404, 409, 403). The store knows metadata, deletion and namespaces; schemas and admission
 * are checked by the code that writes on behalf of a client.
 */
export class Store {
  readonly #kinds: ReadonlyMap<string, ResourceKind>;
  readonly #objects: ObjectTables;
  readonly #clock: Clock;
  readonly #feed: EventFeed;
  #resourceVersion = FIRST_VERSION;
  /** Versions that an earlier process handed out after its last change on disk: their objects are lost. */
  #lost: { readonly after: number; readonly before: number } | undefined;
  #journal: Journal | undefined;
  /** The last write, and with it all before. */
  #written: Promise<void> = Promise.resolve();

  private constructor({ kinds, clock, logger, windowSize = 4096 }: StoreOptions) {
    this.#kinds = new Map(kinds.map((kind) => [kind.kind, kind]));
    this.#objects = new ObjectTables(kinds);
    this.#clock = clock;
    this.#feed = new EventFeed(windowSize, logger);
    this.#feed.startAt(FIRST_VERSION);
  }

  /** Opens the store of a directory; only one process may do so at a time. */
  static async open(options: StoreOptions): Promise<Store> {
    const store = new Store(options);
    store.#journal = await Journal.open({
      directory: options.directory,
      clock: options.clock,
      restore: (record) => store.#restore(record),
      replay: (record) => store.#replay(record),
      snapshot: () => store.#snapshot(),
    });
    const last = store.#resourceVersion;
    if (last > 0) store.#resourceVersion += RESTART_GAP;
    store.#lost = { after: last, before: store.#resourceVersion };
    return store;
  }

  /** Waits for pending writes. */
  async close(): Promise<void> {
    await this.#journal?.close();
  }

  /** @throws ApiError 507 while the disk has no room for more objects; what is there may still be changed and deleted */
  assertRoom(): void {
    if (this.#journal?.room === 'ample') return;
    const message = `The disk of the embedded cluster's data is full: free ${JOURNAL_RESERVE_BYTES / 2 ** 20} MiB there. Until then objects may be deleted, but not created`;
    throw new ApiError(507, 'InternalError', message);
  }

  /** Resolves when everything that has been announced so far is on disk, where it survives the end of the process. */
  onDisk(): Promise<void> {
    return this.#written;
  }

  /** The position of the last change. */
  get resourceVersion(): number {
    return this.#resourceVersion;
  }

  /** All kinds that are served. */
  get kinds(): readonly ResourceKind[] {
    return [...this.#kinds.values()];
  }

  /** @throws ApiError 404 for a kind that is not served */
  kindOf(kind: string): ResourceKind {
    const found = this.#kinds.get(kind);
    if (!found) throw new ApiError(404, 'NotFound', `no matches for kind "${kind}"`);
    return found;
  }

  /** The object, frozen; undefined when absent. */
  get<T extends KubeObject = KubeObject>(kind: string, key: ObjectKey): T | undefined {
    return this.#table(kind).get(idOf(key)) as T | undefined;
  }

  /** Whether an object with this uid exists. */
  hasUid(uid: string): boolean {
    return this.#objects.hasUid(uid);
  }

  /** All objects of a kind, frozen, ordered by namespace and name. */
  list<T extends KubeObject = KubeObject>(kind: string, options: ListOptions = {}): T[] {
    const matches = compileLabelSelector(options.labelSelector ?? '');
    const inNamespace = (object: KubeObject) =>
      options.namespace === undefined || object.metadata.namespace === options.namespace;
    return [...this.#table(kind).entries()]
      .filter(([, object]) => inNamespace(object) && matches(object))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object as T);
  }

  /**
   * Adds an object; `generateName` is honoured.
   * @throws ApiError 409 AlreadyExists; 404 or 403 when the namespace is absent or terminating
   */
  async create<T extends KubeObject = KubeObject>(object: T): Promise<T> {
    const kind = this.kindOf(object.kind);
    const created = structuredClone(object) as KubeObject;
    created.metadata = withGeneratedName(created.metadata);
    const key = keyOf(created);
    this.#assertNamespaceTakes(kind, key);
    if (this.#table(kind.kind).has(idOf(key))) throw alreadyExists(kind, key);
    created.metadata = firstMetadata(created.metadata, this.#clock.now());
    return (await this.#commit('ADDED', created)) as T;
  }

  /**
   * Replaces an object as a whole, status included. A resourceVersion in it makes the write conditional.
   * Writing an unchanged object has no effect. Removing the last finalizer of a deleted object removes the object.
   * @throws ApiError 404; 409 Conflict when the resourceVersion or uid is not that of the stored object
   */
  async update<T extends KubeObject = KubeObject>(object: T): Promise<T> {
    const kind = this.kindOf(object.kind);
    const key = keyOf(object);
    const previous = this.get(kind.kind, key);
    if (!previous) throw notFound(kind, key);
    const why = staleWrite(object, previous);
    if (why) throw conflict(kind, key, why);
    const next = structuredClone(object) as KubeObject;
    next.metadata = systemFieldsOf(previous, next);
    if (isDeepStrictEqual(next, previous)) return previous as T;
    if (!isSameIntent(kind, next, previous)) {
      next.metadata.generation = (previous.metadata.generation ?? 1) + 1;
    }
    const isReleased = next.metadata.deletionTimestamp !== undefined && finalizersOf(next).length === 0;
    return (await this.#commit(isReleased ? 'DELETED' : 'MODIFIED', next, previous)) as T;
  }

  /**
   * Reads, lets `change` edit a draft in place, and writes. The operation is synchronous, so it cannot conflict.
   * @throws ApiError 404 when the object does not exist
   */
  async mutate<T extends KubeObject = KubeObject>(
    kind: string,
    key: ObjectKey,
    change: (draft: T) => void,
  ): Promise<T> {
    const current = this.get<T>(kind, key);
    if (!current) throw notFound(this.kindOf(kind), key);
    const draft = structuredClone(current);
    change(draft);
    return await this.update(draft);
  }

  /** Like `mutate`, but only the draft's status is kept. A missing status starts as an empty object. */
  async updateStatus<T extends KubeObject = KubeObject>(
    kind: string,
    key: ObjectKey,
    change: (status: NonNullable<T['status']>, object: T) => void,
  ): Promise<T> {
    return await this.mutate<T>(kind, key, (draft) => {
      draft.status ??= {};
      const seen = structuredClone(draft);
      change(draft.status as NonNullable<T['status']>, seen);
    });
  }

  /**
   * Deletes an object: at once, or when its finalizers are gone. Owned objects follow in the background.
   * @throws ApiError 404; 409 Conflict when a precondition does not hold
   */
  async delete(kind: string, key: ObjectKey, options: DeleteOptions = {}): Promise<Deletion> {
    const served = this.kindOf(kind);
    const previous = this.get(kind, key);
    if (!previous) throw notFound(served, key);
    const unmet = unmetPrecondition(previous, options.preconditions);
    if (unmet) throw conflict(served, key, unmet);
    const next = markDeleted(previous, options, this.#clock.now());
    if (finalizersOf(next).length === 0) {
      return { object: await this.#commit('DELETED', next, previous), removed: true };
    }
    if (isDeepStrictEqual(next, previous)) return { object: previous, removed: false };
    return { object: await this.#commit('MODIFIED', next, previous), removed: false };
  }

  /**
   * Announces every present object of the kinds as ADDED, then every change in order, until the signal is aborted.
   * Listeners are called synchronously; their errors are logged and affect no other listener.
   */
  subscribe(kinds: readonly string[], listener: StoreListener, signal: AbortSignal): void {
    const present = kinds.flatMap((kind) => this.list(kind));
    this.#feed.subscribe({ kinds, listener, signal, first: present.map(addedEvent) });
  }

  /**
   * Announces every change of the kinds after a resourceVersion, until the signal is aborted.
   * A position of the future is waited for.
   * @throws ApiError 410 when the position has left the window
   */
  watchFrom(
    kinds: readonly string[],
    resourceVersion: number,
    subscriber: { listener: StoreListener; signal: AbortSignal },
  ): void {
    const isLost = this.#lost && resourceVersion > this.#lost.after && resourceVersion < this.#lost.before;
    if (isLost || resourceVersion < this.#feed.oldest) {
      throw expired(String(resourceVersion), this.#feed.oldest);
    }
    const first = this.#feed.since(resourceVersion, kinds);
    this.#feed.subscribe({ kinds, ...subscriber, first, after: resourceVersion });
  }

  #table(kind: string): ReadonlyMap<string, KubeObject> {
    return this.#objects.of(this.kindOf(kind).kind);
  }

  #assertNamespaceTakes(kind: ResourceKind, key: ObjectKey): void {
    if (!kind.namespaced) return;
    const namespace = key.namespace ?? '';
    const owner = this.get('Namespace', { name: namespace });
    if (!owner) throw notFound(this.kindOf('Namespace'), { name: namespace });
    if (owner.metadata.deletionTimestamp !== undefined) {
      throw forbidden(
        kind,
        key,
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
    }
  }

  async #commit(type: StoreEvent['type'], object: KubeObject, previous?: KubeObject): Promise<KubeObject> {
    const journal = this.#journal;
    if (!journal) throw new ApiError(500, 'InternalError', 'the store is not open');
    journal.assertWritable();
    this.#resourceVersion += 1;
    object.metadata.resourceVersion = String(this.#resourceVersion);
    deepFreeze(object);
    const id = idOf(keyOf(object));
    this.#objects.set(object.kind, id, type === 'DELETED' ? undefined : object);
    this.#written = journal.append({
      resourceVersion: this.#resourceVersion,
      id: `${object.kind}/${id}`,
      ...(type === 'DELETED' ? {} : { object }),
    });
    const written = this.#written;
    this.#feed.publish({ type, kind: object.kind, object, previous, resourceVersion: this.#resourceVersion });
    await written;
    return object;
  }

  /** Loads an object of the folded state. */
  #restore(record: JournalRecord): void {
    this.#feed.startAt(record.resourceVersion);
    this.#load(record);
  }

  /** Loads a change since then, which watches may go back to. */
  #replay(record: JournalRecord): void {
    const change = this.#load(record);
    const event = change && restoredEvent(change.kind, { resourceVersion: record.resourceVersion, ...change });
    if (event) this.#feed.remember(event);
  }

  /** Returns what it changed; undefined where the kind is not served any more. */
  #load({ resourceVersion, id, object: written }: JournalRecord) {
    this.#resourceVersion = Math.max(this.#resourceVersion, resourceVersion);
    const [kind = '', ...rest] = id.split('/');
    if (!this.#kinds.has(kind)) return undefined;
    const object = written as KubeObject | undefined;
    return { kind, object, previous: this.#objects.set(kind, rest.join('/'), object) };
  }

  #snapshot(): StoreSnapshot {
    return { resourceVersion: this.#resourceVersion, objects: this.#objects.all() };
  }
}
