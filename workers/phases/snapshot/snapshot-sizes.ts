import { SNAPSHOT_SIZES } from '../../../common/contracts/object-keys.ts';
import type { VolumeSnapshot } from '../../../common/kubernetes/objects.ts';

/** Storage of a snapshot in bytes; empty where the cluster does not report it. */
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
