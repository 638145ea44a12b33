import { randomBytes } from 'node:crypto';
import type { Credentials } from '../../../common/contracts/module/location.ts';
import type { DataVolume, Secret } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { PhaseContext } from '../../context/phase-context.ts';

/**
 * Makes a volume, unless it is there. Where its importer needs `credentials` (sealed), they are in a Secret that the
 * volume owns, and never in the volume itself. CDI's pod waits for the Secret, so the volume comes first: only it contains
 * the name of the Secret, for every worker. The name is used once, because what the former volume of the name
 * owned may be removed while this one begins.
 */
export async function createVolume(
  context: PhaseContext,
  volume: DataVolume,
  credentials: Credentials | null | undefined,
): Promise<void> {
  const { cluster, signal, secrets } = context;
  const opened = secrets.credentials(credentials ?? null);
  const made = await cluster.createIfAbsent(RESOURCES.dataVolumes, opened ? withSecret(volume) : volume, { signal });
  const { http } = made.spec.source ?? {};
  if (!opened || http?.secretRef === undefined) return;
  const { name = '', uid = '', labels } = made.metadata ?? {};
  const owner = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name, uid };
  const secret: Secret = {
    metadata: { name: http.secretRef, ...(labels ? { labels } : {}), ownerReferences: [owner] },
    type: 'Opaque',
    data: { accessKeyId: encode(opened.username), secretKey: encode(opened.password) },
  };
  await cluster.createIfAbsent(RESOURCES.secrets, secret, { signal });
}

function withSecret(volume: DataVolume): DataVolume {
  const { source } = volume.spec;
  if (!source?.http) return volume;
  const secretRef = `${volume.metadata?.name}-${randomBytes(4).toString('hex')}`;
  return { ...volume, spec: { ...volume.spec, source: { http: { ...source.http, secretRef } } } };
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
