import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import type { ImageRetention, RemovedImage } from '../../common/contracts/images.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { readNeededLayers, removeImages } from '../../common/redis/layer-removal.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { isLimited, type SuperfluousLayer, superfluousLayers } from './superfluous-layers.ts';

/** Versions grow old slowly. */
const LOOK_MS = 10 * 60_000;

interface PruneOptions {
  readonly redis: Redis;
  readonly clock: Clock;
}

/**
 * Removes the images beyond a retention and returns them; with `dryRun` it only returns them. An image that gets a tag, a child or
 * a build meanwhile stays. @throws RedisUnavailable
 */
export async function pruneImages(
  { redis, clock }: PruneOptions,
  retention: ImageRetention,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<RemovedImage[]> {
  const needed = await readNeededLayers(redis);
  const going = superfluousLayers(await readLayers(redis), retention, { now: clock.now(), needed: needed.keys() });
  if (dryRun) return going.flatMap(removedImages);
  const orders = going.map(({ record, images }) => ({
    layerKey: record.layerKey,
    versions: images.map(({ module, version }) => `${module}:${version}`),
  }));
  const outcomes = await removeImages(redis, orders);
  return going.filter((_layer, index) => outcomes[index] === 'removed').flatMap(removedImages);
}

/** Description of a removed layer. */
function removedImages({ record, images }: SuperfluousLayer): RemovedImage[] {
  const { cluster, vms } = record;
  const sizeBytes = vms.flatMap(({ disks }) => disks).reduce((sum, disk) => sum + disk.sizeBytes, 0);
  return images.map((image) => ({ ...image, cluster, sizeBytes }));
}

/** Prunes by the retention of the configuration, now and then, until `signal` is aborted; one process of the farm does. */
export async function runImageRetention(
  options: PruneOptions & { readonly retention: ImageRetention; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger, retention } = options;
  if (!isLimited(retention)) return;
  const look = async () => {
    for (const { module, version, layerKey } of await pruneImages(options, retention)) {
      logger.info({ module, version, layerKey }, 'An image was removed by retention');
    }
    return null;
  };
  await lookAgain({ what: 'Pruning images', look, everyMs: LOOK_MS, clock, logger }, signal);
}
