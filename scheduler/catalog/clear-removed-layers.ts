import type { LayerRecord } from '../../common/contracts/layers.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { endRemoval, readRemovedLayers } from '../../common/redis/layer-removal.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/**
 * Deletes what is left of removed layers on a cluster: templates first, because they name the snapshots. The works whose layers are
 * still going. Level-triggered: a removal stays in Redis until the cluster shows nothing of it any more.
 */
export async function clearRemovedLayers(
  options: ClusterWatchOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { redis, cluster, logger } = options;
  const going = new Set<string>();
  for (const record of await readRemovedLayers(redis, cluster.name)) {
    const { layerKey, layerBuild, module } = record;
    if (await isCleared(options, record, signal)) {
      await endRemoval(redis, record);
      logger.info({ layerKey, module, cluster: cluster.name }, 'A removed layer is gone from its cluster');
    } else {
      going.add(layerBuild);
    }
  }
  return going;
}

/** Asks for the deletion of what is there; true when nothing is. */
async function isCleared(
  { cluster, logger }: ClusterWatchOptions,
  { vms }: LayerRecord,
  signal: AbortSignal,
): Promise<boolean> {
  const templates = vms.map(({ template }) => template);
  for (const name of templates) {
    const template = await cluster.get(RESOURCES.machines, name, { signal });
    if (template === undefined || template.spec?.runStrategy === 'Halted') continue;
    logger.warn({ template: name, cluster: cluster.name }, 'A removed layer stays while its template runs');
    return false;
  }
  const snapshots = vms.flatMap(({ disks }) => disks.map(({ snapshot }) => snapshot));
  const found: readonly (readonly [Resource, readonly string[]])[] = [
    [RESOURCES.machines, templates],
    [RESOURCES.snapshots, snapshots],
  ];
  let isAnyThere = false;
  for (const [kind, names] of found) {
    for (const name of names) isAnyThere = (await cluster.delete(kind, name, { signal })) || isAnyThere;
  }
  return !isAnyThere;
}
