import { groupByLayer, groupByModule, type ImageName, type ImageRetention } from '../../common/contracts/images.ts';
import type { LayerRecord } from '../../common/contracts/layers.ts';
import { own } from '../../common/contracts/own.ts';
import type { FinishedLayers } from '../../common/redis/layers.ts';
import { topologicalOrder } from '../graph/topological-order.ts';

/** A layer that may be removed, with its names. */
export interface SuperfluousLayer {
  readonly record: LayerRecord;
  readonly images: readonly ImageName[];
}

/** Whether a retention ever removes anything. */
export function isLimited({ keep, maxAgeMs, untaggedMs, modules = {} }: ImageRetention): boolean {
  return keep !== null || maxAgeMs !== null || untaggedMs !== null || Object.values(modules).some(isLimited);
}

/**
 * The layers that a retention lets go, each after all that are based on it. A layer stays while one of its versions is tagged, is among
 * the newest of its module, or is young enough; while something in `needed` (layerKeys) is made from it; and while a
 * layer is based on it that stays.
 */
export function superfluousLayers(
  { layers, images, tags }: Pick<FinishedLayers, 'layers' | 'images' | 'tags'>,
  retention: ImageRetention,
  { now, needed }: { readonly now: number; readonly needed: Iterable<string> },
): SuperfluousLayer[] {
  if (!isLimited(retention)) return [];
  const versions = groupByModule(images);
  const tagged = groupByModule(tags);
  const retained = [...versions].flatMap(([module, all]) => {
    const { modules: _others, ...applied } = own(retention.modules ?? {}, module) ?? retention;
    if (!isLimited(applied)) return all;
    const tagsOfIt = tagged.get(module) ?? [];
    const ageMs = mostAgeMs(applied, tagsOfIt.length > 0);
    const newest = all.toSorted((a, b) => b.version - a.version);
    const chosen = new Set(tagsOfIt.map(({ version }) => version));
    return newest.filter(
      ({ version, namedAt }, index) =>
        index < (applied.keep ?? 1) || chosen.has(version) || now - Date.parse(namedAt) <= ageMs,
    );
  });
  const kept = withParents([...retained.map(({ layerKey }) => layerKey), ...needed], layers);
  const namesOf = groupByLayer(images);
  return childrenFirst([...layers.values()].filter(({ layerKey }) => !kept.has(layerKey))).map((record) => ({
    record,
    images: namesOf.get(record.layerKey) ?? [],
  }));
}

function mostAgeMs({ keep, maxAgeMs, untaggedMs }: ImageRetention, isTagged: boolean): number {
  const rest = maxAgeMs ?? (keep === null ? Number.POSITIVE_INFINITY : 0);
  return isTagged ? (untaggedMs ?? rest) : rest;
}

/** These layers and all that they were made from, as far as it is there. */
function withParents(keys: readonly string[], layers: ReadonlyMap<string, LayerRecord>): ReadonlySet<string> {
  const found = new Set<string>();
  const todo = [...keys];
  for (let key = todo.pop(); key !== undefined; key = todo.pop()) {
    if (found.has(key)) continue;
    found.add(key);
    todo.push(...(layers.get(key)?.parents ?? []));
  }
  return found;
}

function childrenFirst(records: readonly LayerRecord[]): LayerRecord[] {
  const places = new Map(records.map(({ layerKey }, place) => [layerKey, place]));
  const parents = records.map((record) => record.parents.flatMap((key) => places.get(key) ?? []));
  const { order } = topologicalOrder(parents);
  return order.toReversed().flatMap((place) => records[place] ?? []);
}
