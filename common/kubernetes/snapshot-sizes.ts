import type { VolumeSnapshot } from './objects.ts';

/**
 * Storage of a VolumeSnapshot, in bytes, as annotations: CSI has no field for it (`restoreSize` is the size of
 * the volume). Clusters whose storage knows it set them before the snapshot is ready.
 */
export const SNAPSHOT_SIZES = {
  /** Its own part, without the snapshots below. */
  own: 'slipway.dev/own-bytes',
  /** With all that it stands on. */
  used: 'slipway.dev/used-bytes',
} as const;

/** Empty without a report of the cluster. */
export function snapshotSizes({ metadata }: VolumeSnapshot): {
  readonly ownBytes?: number;
  readonly usedBytes?: number;
} {
  const [ownBytes, usedBytes] = [SNAPSHOT_SIZES.own, SNAPSHOT_SIZES.used].map((name) =>
    Number(metadata?.annotations?.[name] ?? Number.NaN),
  );
  if (!Number.isSafeInteger(ownBytes) || !Number.isSafeInteger(usedBytes)) return {};
  return { ownBytes: ownBytes ?? 0, usedBytes: usedBytes ?? 0 };
}
