import { STORAGE_CLASS } from '../api/bootstrap.ts';
import { fieldAt, type JsonObject, type KubeObject, type ObjectMeta } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { requireQuantity } from '../quantity.ts';
import { type ControllerContext, uidOf } from './context.ts';

/** Provisioner of the only storage class; also the driver of snapshots. */
export function storageDriver(store: Store): string {
  return String(store.get('StorageClass', { name: STORAGE_CLASS })?.['provisioner'] ?? STORAGE_CLASS);
}

/** Marks a claim whose content another controller fills in, so that it is not made blank. */
export const POPULATED_BY = 'cdi.kubevirt.io/storage.populatedFor';

/** The requested bytes of a claim. */
export function requestedBytes(claim: KubeObject): number {
  return Math.ceil(requireQuantity(fieldAt(claim.spec, 'resources', 'requests', 'storage') ?? '0'));
}

/** A claim as a controller creates it. */
export interface NewClaim {
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'labels' | 'annotations' | 'ownerReferences'>;
  readonly sizeBytes: number;
  /** The request of the creator; with defaults. */
  readonly spec: JsonObject;
}

export function claimObject({ metadata, sizeBytes, spec }: NewClaim): KubeObject {
  const defined = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { ...metadata },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      volumeMode: 'Filesystem',
      ...defined,
      resources: { requests: { storage: String(sizeBytes) } },
    },
  };
}

/** Removes the layers that no snapshot content and no disk needs. Long chains of the others are shortened; nothing waits for that. */
export async function collectLayers({ store, volumes, logger, signal }: ControllerContext): Promise<void> {
  const referenced = () => new Set(store.list('VolumeSnapshotContent').map((content) => layerOf(content)));
  const removed = await volumes.collectLayers(referenced);
  if (removed.length > 0) logger.debug({ layers: removed }, 'Layers were removed');
  volumes.flatten(referenced, signal).catch((error: unknown) => {
    if (!signal.aborted) logger.warn({ err: error }, 'Long chains of layers could not be shortened');
  });
}

/** The layer that a VolumeSnapshotContent stands for. */
export function layerOf(content: KubeObject): string {
  const handle = fieldAt(content.status, 'snapshotHandle') ?? fieldAt(content.spec, 'volumeSnapshotRef', 'uid');
  return typeof handle === 'string' ? handle : uidOf(content);
}
