import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';

/** A generation of a layer build that has objects on a cluster. */
export interface FoundGeneration {
  readonly layerBuild: string;
  readonly generation: number;
}

export type RemovalReason = 'orphan' | 'former-generation' | 'succeeded' | 'failed' | 'cancelled';

/** Decision about the build objects of a generation. */
export type SweepVerdict =
  | { readonly action: 'keep' }
  /** Machines off at once, the rest at `removeAt` (ms since the Unix epoch). */
  | { readonly action: 'halt'; readonly removeAt: number }
  | { readonly action: 'remove'; readonly why: RemovalReason };

/** When the decision is made, and how long disks of failed modules are kept (ms). */
export interface SweepMoment {
  readonly now: number;
  readonly failureRetentionMs: number;
}

/**
 * Decides by the layer build that the objects belong to; null when the farm does not know it. The objects that a layer build needs are written
 * before its first object is made, so objects without a layer build are orphans.
 */
export function sweepVerdict(
  { generation }: FoundGeneration,
  stored: Pick<StoredLayerBuild, 'state' | 'generation' | 'finishedAt'> | null,
  { now, failureRetentionMs }: SweepMoment,
): SweepVerdict {
  if (!stored) return { action: 'remove', why: 'orphan' };
  if (generation < stored.generation) return { action: 'remove', why: 'former-generation' };
  switch (stored.state) {
    case 'queued':
    case 'running':
    // Executors still hold it; they let go, or are found dead, soon.
    case 'stopping':
      return { action: 'keep' };
    case 'failed': {
      const removeAt = (stored.finishedAt ?? now) + failureRetentionMs;
      return removeAt <= now ? { action: 'remove', why: 'failed' } : { action: 'halt', removeAt };
    }
    default:
      return { action: 'remove', why: stored.state };
  }
}
