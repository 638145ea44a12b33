import type { ObjectKeyRef } from '../../common/contracts/module/compiled.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { PhaseFailure } from '../phases/phase-executor.ts';

/** The bytes of a key of a ConfigMap or Secret; empty when it is optional and missing. @throws PhaseFailure */
export async function readObjectKey(cluster: ClusterClient, ref: ObjectKeyRef, signal: AbortSignal): Promise<Buffer> {
  const found = ref.kind === 'Secret' ? await secretKey(cluster, ref, signal) : await mapKey(cluster, ref, signal);
  if (found) return found;
  if (ref.optional) return Buffer.alloc(0);
  throw new PhaseFailure('ClusterRefused', `The ${ref.kind} "${ref.name}" has no key "${ref.key}" on the cluster.`);
}

type NamedKey = Pick<ObjectKeyRef, 'name' | 'key'>;

async function secretKey(cluster: ClusterClient, { name, key }: NamedKey, signal: AbortSignal) {
  const value = (await cluster.get(RESOURCES.secrets, name, { signal }))?.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64');
}

async function mapKey(cluster: ClusterClient, { name, key }: NamedKey, signal: AbortSignal) {
  const object = await cluster.get(RESOURCES.configMaps, name, { signal });
  const [text, binary] = [object?.data?.[key], object?.binaryData?.[key]];
  if (text !== undefined) return Buffer.from(text);
  return binary === undefined ? undefined : Buffer.from(binary, 'base64');
}
