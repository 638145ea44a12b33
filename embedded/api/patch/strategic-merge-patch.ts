import { listAt } from '../json-lists.ts';
import { isJsonObject, type JsonObject } from '../objects.ts';

/** Lists of the core kinds that are merged by a key, from the `patchMergeKey` tags of k8s.io/api/core/v1. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  ownerReferences: 'uid',
  conditions: 'type',
  podIPs: 'ip',
  addresses: 'type',
  taints: 'key',
};

/** Lists of plain values that are merged as sets. */
const MERGED_SETS = new Set(['finalizers']);

/**
 * Applies a strategic merge patch, with the directives `$patch: delete|replace` and `$deleteFromPrimitiveList`.
 * `$setElementOrder` and `$retainKeys` are taken out and not obeyed.
 */
export function applyStrategicMergePatch(document: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  const { $patch: directive, ...fields } = patch;
  const result: JsonObject = isJsonObject(document) && directive !== 'replace' ? { ...document } : {};
  for (const [field, value] of Object.entries(fields)) {
    const removed = /^\$deleteFromPrimitiveList\/(.+)$/.exec(field)?.[1];
    if (removed !== undefined) {
      const gone = new Set(listAt(value));
      result[removed] = listAt(result[removed]).filter((item) => !gone.has(item));
    } else if (field.startsWith('$')) continue;
    else if (value === null) delete result[field];
    else result[field] = mergeField(field, result[field], value);
  }
  return result;
}

function mergeField(field: string, current: unknown, value: unknown): unknown {
  if (!Array.isArray(value)) return applyStrategicMergePatch(current, value);
  if (MERGED_SETS.has(field)) return [...new Set([...listAt(current), ...value])];
  const key = MERGE_KEYS[field];
  if (key === undefined) return value;
  return mergeList(listAt(current), value, key);
}

function mergeList(current: readonly unknown[], patch: readonly unknown[], key: string): unknown[] {
  const isReplaced = patch.some((item) => isJsonObject(item) && item['$patch'] === 'replace');
  const result = isReplaced ? [] : [...current];
  for (const item of patch) {
    if (!isJsonObject(item) || (item['$patch'] === 'replace' && !(key in item))) continue;
    const index = result.findIndex((known) => isJsonObject(known) && known[key] === item[key]);
    if (item['$patch'] === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) result[index] = applyStrategicMergePatch(result[index], item);
    else result.push(applyStrategicMergePatch({}, item));
  }
  return result;
}
