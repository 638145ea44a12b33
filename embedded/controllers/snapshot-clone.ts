import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt, type KubeObject, type ObjectKey } from '../api/objects.ts';
import { requireQuantity } from '../quantity.ts';
import type { ControllerContext } from './context.ts';
import { layerOf } from './volume-claims.ts';

/** A snapshot that can be restored from. */
export interface ReadySnapshot {
  readonly layer: string;
  readonly restoreSizeBytes: number;
}

/** The layer behind a snapshot; undefined while it is not there or not ready. */
export function readySnapshot({ store }: ControllerContext, key: ObjectKey): ReadySnapshot | undefined {
  const snapshot = store.get('VolumeSnapshot', key);
  if (fieldAt(snapshot?.status, 'readyToUse') !== true) return undefined;
  const content = contentOf(store.list('VolumeSnapshotContent'), snapshot);
  if (!content) return undefined;
  return {
    layer: layerOf(content),
    restoreSizeBytes: Math.ceil(requireQuantity(fieldAt(snapshot?.status, 'restoreSize') ?? '0')),
  };
}

function contentOf(contents: readonly KubeObject[], snapshot: KubeObject | undefined): KubeObject | undefined {
  const name = fieldAt(snapshot?.status, 'boundVolumeSnapshotContentName');
  return contents.find((content) => content.metadata.name === name);
}

/**
 * Fills a volume from a snapshot.
 * @throws FarmError `NotFound` while the snapshot cannot be restored from
 */
export async function cloneFromSnapshot(
  context: ControllerContext,
  key: ObjectKey,
  target: { readonly volume: string; readonly sizeBytes: number },
): Promise<void> {
  const snapshot = readySnapshot(context, key);
  if (!snapshot) throw new FarmError('NotFound', `The snapshot "${key.name}" is not ready`);
  await context.volumes.cloneLayer(target.volume, snapshot.layer, target.sizeBytes);
}
