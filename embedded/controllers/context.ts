import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { KubeObject, ObjectKey, OwnerReference } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { type Confiner, userFor } from '../host/confinement.ts';
import type { HostLayout } from '../host/layout.ts';
import type { VolumeFiles } from '../storage/volumes.ts';
import type { EventRecorder } from './event-recorder.ts';
import { WorkQueue } from './work-queue.ts';

/** Dependencies of every controller. */
export interface ControllerContext {
  readonly store: Store;
  readonly layout: HostLayout;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when the server stops; machines continue. */
  readonly signal: AbortSignal;
  readonly events: EventRecorder;
  readonly volumes: VolumeFiles;
  readonly confiner: Confiner;
  /** Private networks that guests with internet may reach, e.g. `10.1.0.0/16`. */
  readonly guestNetworks: readonly string[];
  /** Addresses that imports may reach besides public ones; may be another list at the next import. */
  readonly allowedAddresses: () => Promise<readonly string[]>;
}

/** The user that the machine or pod of an object runs as; undefined where it stays the user of this process. */
export function hostUser({ confiner }: ControllerContext, object: KubeObject): number | undefined {
  return confiner.userOf({ user: userFor(uidOf(object)) });
}

/** The text form of a key; the name alone for cluster-scoped objects. */
export function keyText({ namespace, name }: ObjectKey): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Reads what `keyText` wrote. */
export function parseKey(text: string): ObjectKey {
  const at = text.indexOf('/');
  return at < 0 ? { name: text } : { namespace: text.slice(0, at), name: text.slice(at + 1) };
}

/** The key of an object as text. */
export function textKeyOf({ metadata }: KubeObject): string {
  return keyText({ namespace: metadata.namespace, name: metadata.name });
}

/** The uid that the store gave the object. */
export function uidOf(object: KubeObject): string {
  return object.metadata.uid ?? '';
}

export function isDeleting(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** A queue for a kind that also looks at every object of it that is there, and at every change. */
export function queueFor(
  context: ControllerContext,
  kind: string,
  reconcile: (key: ObjectKey) => Promise<void>,
): WorkQueue {
  const { clock, logger, signal, store } = context;
  const queue = new WorkQueue({
    name: kind,
    reconcile: (text) => reconcile(parseKey(text)),
    clock,
    logger,
    signal,
  });
  store.subscribe([kind], ({ object }) => queue.add(textKeyOf(object)), signal);
  return queue;
}

/** The reference that makes `owner` the controlling owner. */
export function ownerReference(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  return { apiVersion, kind, name: metadata.name, uid: uidOf(owner), controller: true, blockOwnerDeletion: true };
}

/** Whether `owner` controls the object. */
export function isOwnedBy(object: KubeObject, owner: KubeObject): boolean {
  return (object.metadata.ownerReferences ?? []).some(({ uid }) => uid === uidOf(owner));
}

/** The controlling owner of a kind; undefined when another kind or no object owns it. */
export function ownerOfKind(object: KubeObject, kind: string): OwnerReference | undefined {
  return (object.metadata.ownerReferences ?? []).find((owner) => owner.kind === kind);
}

/** Adds finalizers, unless they are there or the object is already being deleted. */
export async function ensureFinalizer(store: Store, object: KubeObject, ...finalizers: string[]): Promise<void> {
  if (isDeleting(object) || finalizers.every((name) => object.metadata.finalizers?.includes(name))) return;
  await store.mutate(object.kind, object.metadata, (draft) => {
    draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), ...finalizers])];
  });
}

/** Removes finalizers; the object goes with the last one. No effect when it is gone. */
export async function removeFinalizers(store: Store, object: KubeObject, finalizers: readonly string[]): Promise<void> {
  const current = store.get(object.kind, object.metadata);
  if (current?.metadata.uid !== object.metadata.uid) return;
  if (!current?.metadata.finalizers?.some((name) => finalizers.includes(name))) return;
  await store.mutate(object.kind, object.metadata, (draft) => {
    draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter((name) => !finalizers.includes(name));
  });
}
