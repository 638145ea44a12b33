import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';

/** A key of a ConfigMap or Secret in the farm namespace. */
export interface ObjectKey {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  readonly key: string;
}

/** The bytes under a key; undefined when there is no such object, or no such key in it. */
export async function readObjectKey(
  cluster: Pick<ClusterClient, 'get'>,
  { kind, name, key }: ObjectKey,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (kind === 'Secret') return decode((await cluster.get(RESOURCES.secrets, name, { signal }))?.data, key);
  const map = await cluster.get(RESOURCES.configMaps, name, { signal });
  const text = own(map?.data, key);
  return text === undefined ? decode(map?.binaryData, key) : Buffer.from(text);
}

type Values = Readonly<Record<string, string>> | undefined;

function decode(values: Values, key: string): Buffer | undefined {
  const value = own(values, key);
  return value === undefined ? undefined : Buffer.from(value, 'base64');
}

/** Users choose keys such as `constructor`, which every object inherits. */
function own(values: Values, key: string): string | undefined {
  return values && Object.hasOwn(values, key) ? values[key] : undefined;
}
