import { type KubeObject, timestamp } from './objects.ts';

/** Holds an owner until everything that it owns is gone (`propagationPolicy: Foreground`). */
export const FOREGROUND_FINALIZER = 'foregroundDeletion';
/** Holds an owner until no object names it as owner (`propagationPolicy: Orphan`). */
export const ORPHAN_FINALIZER = 'orphan';

/** Effect of a deletion on owned objects: they are deleted later, first, or not at all. */
export type Propagation = 'Background' | 'Foreground' | 'Orphan';

/** The object is deleted only if it is still the one that the caller saw. */
export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** How an object is deleted. */
export interface DeleteOptions {
  readonly preconditions?: Preconditions | undefined;
  /** Treatment of owned objects. @defaultValue `Background` */
  readonly propagation?: Propagation | undefined;
  readonly gracePeriodSeconds?: number | undefined;
}

/** The message about the precondition that does not hold; undefined when all do. */
export function unmetPrecondition(object: KubeObject, preconditions: Preconditions = {}): string | undefined {
  const { uid, resourceVersion } = object.metadata;
  if (preconditions.uid !== undefined && preconditions.uid !== uid) {
    return `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`;
  }
  if (preconditions.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    return `Precondition failed: ResourceVersion in precondition: ${preconditions.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`;
  }
  return undefined;
}

/** The object after a request to delete it: with the time, and the finalizers that the treatment of owned objects needs. */
export function markDeleted(previous: KubeObject, options: DeleteOptions, now: number): KubeObject {
  const next = structuredClone(previous);
  const finalizers = new Set(next.metadata.finalizers);
  if (options.propagation === 'Foreground') finalizers.add(FOREGROUND_FINALIZER);
  if (options.propagation === 'Orphan') finalizers.add(ORPHAN_FINALIZER);
  if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
  const isFirst = next.metadata.deletionTimestamp === undefined;
  next.metadata.deletionTimestamp ??= timestamp(now);
  next.metadata.deletionGracePeriodSeconds ??= options.gracePeriodSeconds ?? 0;
  if (isFirst) next.metadata.generation = (previous.metadata.generation ?? 1) + 1;
  if (previous.kind === 'Namespace') next.status = { ...next.status, phase: 'Terminating' };
  return next;
}
