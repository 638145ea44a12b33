import type { KubeObject } from './objects.ts';

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
