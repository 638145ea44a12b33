import { randomBytes } from 'node:crypto';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { ApiError, isNotFound } from '../../common/kubernetes/api-error.ts';
import type { ExportLink, ObjectMeta, VirtualMachineExport } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { volumeObject } from '../../common/kubernetes/volume-objects.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import {
  type DiskPlace,
  type DiskReading,
  EXPORT_HOURS,
  EXPORT_ROLE,
  type ExportCluster,
  READY_MS,
} from './disk-reading.ts';
import { withReaderPod } from './reader-pod.ts';

type NamedMeta = ObjectMeta & { readonly name: string };

/**
 * Clones a snapshot into a claim, lets the cluster export it, and shows where its content can be read: by the first of these
 * that answers. On a cluster that serves no exports a pod of the farm reads it. All of it goes afterwards, however `read` ends.
 * @throws ClusterUnavailable, DeadlineExceeded
 */
export async function withExportedDisk<T>(cluster: ExportCluster, reading: DiskReading<T>): Promise<T> {
  const name = `sw-export-${randomBytes(8).toString('hex')}`;
  const labels = { [LABELS.farm]: cluster.farm, [LABELS.role]: EXPORT_ROLE };
  const made = await createExport(cluster, { name, labels });
  if (!made) return await withReaderPod(cluster, { name, labels }, reading);
  try {
    const { apiVersion, kind } = RESOURCES.exports;
    const owner = { apiVersion, kind, name, uid: made.metadata?.uid ?? '' };
    return await readLinks(cluster, { name, labels, ownerReferences: [owner] }, reading);
  } finally {
    await cluster.client.delete(RESOURCES.exports, name).catch(() => undefined);
  }
}

/** Undefined where the cluster serves none. */
async function createExport({ client }: ExportCluster, metadata: NamedMeta): Promise<VirtualMachineExport | undefined> {
  const { name } = metadata;
  const source = { apiGroup: '', kind: 'PersistentVolumeClaim', name };
  // When a scheduler dies, KubeVirt removes the export, and Kubernetes its dependents.
  const spec = { source, tokenSecretRef: name, ttlDuration: `${EXPORT_HOURS}h` };
  try {
    return await client.create(RESOURCES.exports, { metadata, spec });
  } catch (error) {
    if (isUnserved(error)) return undefined;
    throw error;
  }
}

/** KubeVirt has no such definition, or its feature gate `VMExport` is off (vmexport-admitter.go of virt-api). */
export function isUnserved(error: unknown): boolean {
  return isNotFound(error) || (error instanceof ApiError && error.message.includes('feature gate not enabled'));
}

async function readLinks<T>(
  { client, config }: ExportCluster,
  metadata: NamedMeta,
  { snapshot, signal, read }: DiskReading<T>,
): Promise<T> {
  const { name } = metadata;
  const token = randomBytes(24).toString('base64url');
  const data = { token: Buffer.from(token).toString('base64') };
  await client.create(RESOURCES.secrets, { metadata, type: 'Opaque', data }, { signal });
  const source = { snapshot: { namespace: client.namespace, name: snapshot } };
  const volume = volumeObject(metadata, { source, storageClass: config.storageClass, atOnce: true });
  await client.create(RESOURCES.dataVolumes, volume, { signal });
  const links = await waitFor(
    client,
    { resource: RESOURCES.exports, name },
    { signal, deadlineMs: READY_MS, what: `the cluster to export ${snapshot}`, until: linksOf },
  );
  return await read(links.flatMap((link) => placesOf(link, token)));
}

/** From outside, then from inside of the cluster; undefined until they are there. */
function linksOf(object: VirtualMachineExport | undefined): readonly ExportLink[] | undefined {
  if (!object) throw new FarmError('ClusterUnavailable', 'The cluster removed the export before it was read.');
  const { phase, links } = object.status ?? {};
  if (phase !== 'Ready') return undefined;
  const there = [links?.external, links?.internal].flatMap((link) => (link?.volumes?.length ? [link] : []));
  return there.length > 0 ? there : undefined;
}

function placesOf({ cert, volumes = [] }: ExportLink, token: string): DiskPlace[] {
  const formats = volumes.flatMap((volume) => volume.formats);
  return formats.filter(({ format }) => format === 'raw').map(({ url }) => ({ url, cert, token }));
}
