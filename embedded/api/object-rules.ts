import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ResourceKind } from './objects.ts';

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
