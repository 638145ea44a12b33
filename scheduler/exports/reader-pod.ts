import { FarmError } from '../../common/errors/farm-error.ts';
import type { DataVolume, ObjectMeta, Pod } from '../../common/kubernetes/objects.ts';
import { RELAY_CONTROL_PORT } from '../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { restrictedPod } from '../../common/kubernetes/restricted-pod.ts';
import { volumeObject } from '../../common/kubernetes/volume-objects.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { type DiskReading, EXPORT_HOURS, type ExportCluster, READY_MS } from './disk-reading.ts';

/** Owner of the disks that CDI writes, as its own and KubeVirt's pods have it. */
const USER = 107;
/** For the pull of the image, and a node that attaches the volume. */
const START_MS = 10 * 60_000;
const FOLDER = '/disk';
const DEVICE = '/dev/disk';

/**
 * Clones a snapshot into a claim, and reads it by a pod of the farm's own image, which serves it on the loopback of its network:
 * only clients that may forward ports of the pod reach it. The pod goes with the volume.
 * @throws ClusterUnavailable, DeadlineExceeded
 */
export async function withReaderPod<T>(
  { client, config }: ExportCluster,
  { name, labels }: { readonly name: string; readonly labels: Record<string, string> },
  { snapshot, signal, read }: DiskReading<T>,
): Promise<T> {
  const source = { snapshot: { namespace: client.namespace, name: snapshot } };
  const volume = volumeObject({ name, labels }, { source, storageClass: config.storageClass, atOnce: true });
  const made = await client.create(RESOURCES.dataVolumes, volume, { signal });
  try {
    const what = `the cluster to clone ${snapshot}`;
    const filling = { signal, deadlineMs: READY_MS, what, until: isFilled };
    await waitFor(client, { resource: RESOURCES.dataVolumes, name }, filling);
    const claim = await waitFor(
      client,
      { resource: RESOURCES.claims, name },
      { signal, deadlineMs: READY_MS, what: `the claim of ${what}`, until: (found) => found },
    );
    const { apiVersion, kind } = RESOURCES.dataVolumes;
    const ownerReferences = [{ apiVersion, kind, name, uid: made.metadata?.uid ?? '' }];
    const isBlock = claim.spec?.volumeMode === 'Block';
    const pod = readerPod({ name, labels, ownerReferences }, { image: config.relayImage, isBlock });
    await client.create(RESOURCES.pods, pod, { signal });
    const starting = { signal, deadlineMs: START_MS, what: `pod ${name} to read ${snapshot}`, until: isRunning };
    await waitFor(client, { resource: RESOURCES.pods, name }, starting);
    return await read([{ pod: name, cluster: config }]);
  } finally {
    await client.delete(RESOURCES.dataVolumes, name).catch(() => undefined);
  }
}

function isFilled(volume: DataVolume | undefined): true | undefined {
  const { phase } = (volume?.status ?? {}) as { phase?: string };
  if (volume && phase !== 'Failed') return phase === 'Succeeded' ? true : undefined;
  throw new FarmError('ClusterUnavailable', 'The cluster could not clone the disk that was to be read.');
}

function isRunning(pod: Pod | undefined): true | undefined {
  const phase = pod?.status?.phase;
  if (pod && phase !== 'Failed' && phase !== 'Succeeded') return phase === 'Running' ? true : undefined;
  throw new FarmError('ClusterUnavailable', 'The pod that was to read the disk ended before it was read.');
}

/** Exported for its test: block devices are not in every cluster. */
export function readerPod(
  metadata: ObjectMeta & { readonly name: string },
  { image, isBlock }: { readonly image: string; readonly isBlock: boolean },
): Pod {
  const volume = { name: 'disk', persistentVolumeClaim: { claimName: metadata.name, readOnly: true } };
  return restrictedPod({
    metadata,
    name: 'reader',
    image,
    args: ['--disk', isBlock ? DEVICE : `${FOLDER}/disk.img`, '--control-port', String(RELAY_CONTROL_PORT)],
    user: USER,
    container: isBlock
      ? { volumeDevices: [{ name: 'disk', devicePath: DEVICE }] }
      : { volumeMounts: [{ name: 'disk', mountPath: FOLDER, readOnly: true }] },
    volumes: [volume],
    spec: { activeDeadlineSeconds: EXPORT_HOURS * 3_600 },
  });
}
