import { randomBytes } from 'node:crypto';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { isNotFound } from '../../common/kubernetes/api-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { ExportLink, VirtualMachineExport } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { volumeObject } from '../../common/kubernetes/volume-objects.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';

/** A clone of a snapshot may be a copy of all its bytes. */
const READY_MS = 30 * 60_000;
/** When a scheduler dies, KubeVirt removes the export, and Kubernetes its dependents. */
const TTL = '6h';

/** Where the content of a disk is read, as raw bytes. */
export interface RawContent {
  readonly url: string;
  /** Of the certificates that are to be trusted there, PEM. */
  readonly certificates: string;
  /** Sent as `x-kubevirt-export-token`. */
  readonly token: string;
}

/** Source of exported disks. */
export interface ExportCluster {
  readonly client: ClusterClient;
  readonly config: ClusterConfig;
  /** Name of the farm. */
  readonly farm: string;
}

/**
 * Clones a snapshot into a claim, lets the cluster export it, and shows where its content can be read: by the first of these
 * that answers. Claim and export go afterwards, however `read` ends.
 * @throws ClusterUnfit when the cluster does not serve exports, ClusterUnavailable, DeadlineExceeded
 */
export async function withExportedDisk<T>(
  { client, config, farm }: ExportCluster,
  snapshot: string,
  { signal, read }: { readonly signal: AbortSignal; read(contents: readonly RawContent[]): Promise<T> },
): Promise<T> {
  const name = `sw-export-${randomBytes(8).toString('hex')}`;
  const labels = { [LABELS.farm]: farm, [LABELS.role]: 'export' };
  const token = randomBytes(24).toString('base64url');
  const made = await createExport(client, { name, labels });
  try {
    const { apiVersion, kind } = RESOURCES.exports;
    const owner = { apiVersion, kind, name, uid: made.metadata?.uid ?? '' };
    const metadata = { name, labels, ownerReferences: [owner] };
    const data = { token: Buffer.from(token).toString('base64') };
    await client.create(RESOURCES.secrets, { metadata, type: 'Opaque', data }, { signal });
    const { storageClass } = config;
    await client.create(
      RESOURCES.dataVolumes,
      volumeObject(metadata, {
        source: { snapshot: { namespace: client.namespace, name: snapshot } },
        storageClass,
        atOnce: true,
      }),
      { signal },
    );
    const links = await waitFor(
      client,
      { resource: RESOURCES.exports, name },
      { signal, deadlineMs: READY_MS, what: `the cluster to export ${snapshot}`, until: linksOf },
    );
    return await read(links.flatMap((link) => contentOf(link, token)));
  } finally {
    await client.delete(RESOURCES.exports, name).catch(() => undefined);
  }
}

async function createExport(
  client: ClusterClient,
  { name, labels }: { readonly name: string; readonly labels: Record<string, string> },
): Promise<VirtualMachineExport> {
  const source = { apiGroup: '', kind: 'PersistentVolumeClaim', name };
  try {
    const spec = { source, tokenSecretRef: name, ttlDuration: TTL };
    return await client.create(RESOURCES.exports, { metadata: { name, labels }, spec });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const message = `Cluster "${client.name}" cannot export disks: it does not serve VirtualMachineExport (${RESOURCES.exports.apiVersion}).`;
    const solve = 'Enable the feature gate `VMExport` of its KubeVirt.';
    throw new FarmError('ClusterUnfit', message, { cause: error, details: { solve } });
  }
}

/** From outside, then from inside of the cluster; undefined until they are there. */
function linksOf(object: VirtualMachineExport | undefined): readonly ExportLink[] | undefined {
  if (!object) throw new FarmError('ClusterUnavailable', 'The cluster removed the export before it was read.');
  const { phase, links } = object.status ?? {};
  if (phase !== 'Ready') return undefined;
  const there = [links?.external, links?.internal].flatMap((link) => (link?.volumes?.length ? [link] : []));
  return there.length > 0 ? there : undefined;
}

function contentOf({ cert, volumes = [] }: ExportLink, token: string): RawContent[] {
  const formats = volumes.flatMap((volume) => volume.formats);
  return formats.filter(({ format }) => format === 'raw').map(({ url }) => ({ url, certificates: cert, token }));
}
