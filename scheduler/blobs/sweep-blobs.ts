import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { readNeededBlobs } from '../../common/redis/layers.ts';
import type { BlobStore } from './blob-store.ts';

const SWEEP_MS = 5 * 60_000;

/** Dependencies of the sweep. */
export interface BlobSweepOptions {
  readonly store: BlobStore;
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a content is kept that no unfinished layer build needs. */
  readonly retentionMs: number;
}

/** Removes contents that are not needed any more, until `signal` is aborted; one process of the farm does. */
export function runBlobSweep(options: BlobSweepOptions, signal: AbortSignal): Promise<void> {
  const { store, redis, clock, logger, retentionMs } = options;
  const look = async () => {
    const removed = await store.sweep(clock.now() - retentionMs, () => readNeededBlobs(redis));
    if (removed > 0) logger.info({ removed }, 'Local files that no build needs any more were removed');
    return null;
  };
  const everyMs = Math.min(SWEEP_MS, Math.max(1_000, retentionMs));
  return lookAgain({ what: 'Sweeping local files', look, everyMs, clock, logger }, signal);
}
