import { LABELS } from '../contracts/object-keys.ts';
import { own } from '../contracts/own.ts';
import type { ClusterClient } from './cluster-client.ts';
import type { KubernetesObject } from './objects.ts';
import { RESOURCES } from './resources.ts';

/** A key of a ConfigMap or Secret in the farm namespace. */
export interface ObjectKey {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  readonly key: string;
}

/**
 * The bytes under a key; undefined when the object or the key does not exist. Objects that a farm created for its
 * builds (their keys for one) may not be named by modules.
 */
export async function readObjectKey(
  cluster: Pick<ClusterClient, 'get'>,
  { kind, name, key }: ObjectKey,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (kind === 'Secret') return decode(foreign(await cluster.get(RESOURCES.secrets, name, { signal }))?.data, key);
  const map = foreign(await cluster.get(RESOURCES.configMaps, name, { signal }));
  const text = own(map?.data ?? {}, key);
  return text === undefined ? decode(map?.binaryData, key) : Buffer.from(text);
}

function foreign<T extends KubernetesObject>(object: T | undefined): T | undefined {
  return object?.metadata?.labels?.[LABELS.farm] === undefined ? object : undefined;
}

function decode(values: Readonly<Record<string, string>> = {}, key: string): Buffer | undefined {
  const value = own(values, key);
  return value === undefined ? undefined : Buffer.from(value, 'base64');
}
