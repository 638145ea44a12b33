import type { LayerRecord } from '../../common/contracts/layers.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { unfinishedClones } from '../../common/kubernetes/unfinished-clones.ts';
import { endRemoval, readRemovedLayers } from '../../common/redis/layer-removal.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/**
 * Deletes the remaining objects of removed layers on a cluster. Returns the layer builds whose layers are still going. Level-triggered: a removal stays in
 * Redis until the cluster shows no more objects of it.
 */
export async function clearRemovedLayers(
  options: ClusterWatchOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { redis, cluster, logger } = options;
  const records = await readRemovedLayers(redis, cluster.name);
  if (records.length === 0) return new Set();
  const templates = new Map<LayerRecord, Rest>();
  for (const record of records) templates.set(record, await clearTemplates(options, record, signal));
  // After the templates, so that none is started any more: each start clones the snapshots.
  const cloned = await unfinishedClones(cluster, signal);
  const going = new Set<string>();
  for (const record of records) {
    const { layerKey, layerBuild, module } = record;
    const rest = templates.get(record);
    const isCleared = rest !== 'in use' && (await clearSnapshots(options, { record, cloned }, signal)) === 'none';
    if (isCleared && rest === 'none') {
      await endRemoval(redis, record);
      logger.info({ layerKey, module, cluster: cluster.name }, 'A removed layer is gone from its cluster');
    } else {
      going.add(layerBuild);
    }
  }
  return going;
}

/** State of some objects: all gone, some going, or some that must stay. */
type Rest = 'none' | 'going' | 'in use';

async function clearTemplates(
  { cluster, logger }: ClusterWatchOptions,
  { vms }: LayerRecord,
  signal: AbortSignal,
): Promise<Rest> {
  const names = vms.map(({ template }) => template);
  for (const name of names) {
    const template = await cluster.get(RESOURCES.machines, name, { signal });
    if (template === undefined || template.spec?.runStrategy === 'Halted') continue;
    logger.warn({ template: name, cluster: cluster.name }, 'A removed layer stays while its template runs');
    return 'in use';
  }
  return await clear(cluster, { kind: RESOURCES.machines, names }, signal);
}

interface ClonedLayer {
  readonly record: LayerRecord;
  /** Snapshots that volumes are being cloned from. */
  readonly cloned: ReadonlySet<string>;
}

async function clearSnapshots(
  { cluster, logger }: ClusterWatchOptions,
  { record, cloned }: ClonedLayer,
  signal: AbortSignal,
): Promise<Rest> {
  const names = record.vms.flatMap(({ disks }) => disks.map(({ snapshot }) => snapshot));
  const busy = names.find((name) => cloned.has(name));
  if (busy === undefined) return await clear(cluster, { kind: RESOURCES.snapshots, names }, signal);
  logger.warn({ snapshot: busy, cluster: cluster.name }, 'A removed layer stays while a volume is cloned from it');
  return 'in use';
}

/** Requests the deletion of the objects. */
async function clear(
  cluster: ClusterClient,
  { kind, names }: { readonly kind: Resource; readonly names: readonly string[] },
  signal: AbortSignal,
): Promise<Rest> {
  let rest: Rest = 'none';
  for (const name of names) if (await cluster.delete(kind, name, { signal })) rest = 'going';
  return rest;
}
