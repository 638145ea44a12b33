import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { unmetPrecondition } from './deletion.ts';
import { type KubeObject, type ResourceKind, timestamp } from './objects.ts';

/** A namespace is also held by `spec.finalizers`. */
export function finalizersOf(object: KubeObject): readonly unknown[] {
  const held = object.kind === 'Namespace' ? object.spec?.['finalizers'] : undefined;
  return [...(object.metadata.finalizers ?? []), ...(Array.isArray(held) ? held : [])];
}

/** Whether a change leaves the generation alone: it counts everything but metadata, and but the status where that is apart. */
export function isSameIntent(kind: ResourceKind, next: KubeObject, previous: KubeObject): boolean {
  return isDeepStrictEqual(desired(next, kind), desired(previous, kind));
}

function desired(object: KubeObject, kind: ResourceKind): unknown {
  const { metadata: _, status, ...rest } = object;
  return kind.statusSubresource || !kind.custom ? rest : { ...rest, status };
}

/** Takes over the metadata that only the server decides. */
export function systemFieldsOf(previous: KubeObject, next: KubeObject): KubeObject['metadata'] {
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation, resourceVersion } =
    previous.metadata;
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, ...metadata } = next.metadata;
  if (metadata.finalizers?.length === 0) delete metadata.finalizers;
  return {
    ...metadata,
    ...(uid === undefined ? {} : { uid }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(generation === undefined ? {} : { generation }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
  };
}

/** The metadata of a new object: what only the server decides is not taken from the client. */
export function firstMetadata(given: KubeObject['metadata'], now: number): KubeObject['metadata'] {
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, ...metadata } = given;
  return { ...metadata, uid: randomUUID(), creationTimestamp: timestamp(now), generation: 1 };
}

/** Why a write is not meant for the stored object; undefined when it is. */
export function staleWrite(next: KubeObject, stored: KubeObject): string | undefined {
  const { uid, resourceVersion } = next.metadata;
  if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion) {
    return 'the object has been modified; please apply your changes to the latest version and try again';
  }
  return unmetPrecondition(stored, { uid });
}
