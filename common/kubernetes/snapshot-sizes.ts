import type { VolumeSnapshot } from './objects.ts';

/**
 * What a VolumeSnapshot takes of its storage, in bytes, as annotations: CSI has no field for it (`restoreSize` is the size of
 * the volume). Clusters whose storage knows it set them before the snapshot is ready.
 */
export const SNAPSHOT_SIZES = {
  /** What it adds to that on which it stands. */
  own: 'slipway.dev/own-bytes',
  /** With all that it stands on. */
  used: 'slipway.dev/used-bytes',
} as const;

/** Nothing where the cluster does not say. */
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
