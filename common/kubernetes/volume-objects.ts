import type { DataVolume, KubernetesObject, VolumeSnapshot } from './objects.ts';

/** Content of the spec of a volume. */
export interface VolumeRequest {
  readonly source: NonNullable<DataVolume['spec']['source']>;
  /** Bytes to ask for; undefined for a clone that is to be as large as its snapshot or claim. */
  readonly sizeBytes?: number | undefined;
  /** The default class of the cluster when undefined. */
  readonly storageClass?: string | undefined;
}

/** The spec of a DataVolume, also of one in a template. */
export function volumeSpec({ source, sizeBytes, storageClass }: VolumeRequest): DataVolume['spec'] {
  return {
    source,
    storage: {
      ...(sizeBytes === undefined ? {} : { resources: { requests: { storage: String(sizeBytes) } } }),
      ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
    },
  };
}

/** A DataVolume. `atOnce`: it is filled now, also where its class waits for the first consumer. */
export function volumeObject(
  metadata: KubernetesObject['metadata'],
  { atOnce = false, ...request }: VolumeRequest & { readonly atOnce?: boolean },
): DataVolume {
  const annotations = {
    ...(atOnce ? { 'cdi.kubevirt.io/storage.bind.immediate.requested': '' } : {}),
    ...metadata?.annotations,
  };
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: volumeSpec(request),
  };
}

/** The snapshot of a claim, which has its name. `snapshotClass`: the default one of the driver when undefined. */
export function snapshotObject(
  claim: string,
  { labels, snapshotClass }: { readonly labels: Record<string, string>; readonly snapshotClass: string | undefined },
): VolumeSnapshot {
  return {
    metadata: { name: claim, labels },
    spec: {
      source: { persistentVolumeClaimName: claim },
      ...(snapshotClass === undefined ? {} : { volumeSnapshotClassName: snapshotClass }),
    },
  };
}
