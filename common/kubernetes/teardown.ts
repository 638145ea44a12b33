import { type BuildIdentity, LABELS } from '../contracts/object-names.ts';
import { isConflict, isNotFound } from './api-error.ts';
import type { CallOptions, ClusterClient } from './cluster-client.ts';
import { releaseFinalInstance } from './final-instance.ts';
import { stopMachine } from './machine-actions.ts';
import type { KubernetesObject } from './objects.ts';
import { RESOURCES, type Resource } from './resources.ts';
import { waitForSet } from './wait-for.ts';

/** Whose objects, and within which bounds they are removed. */
export interface TeardownOptions {
  readonly farm: string;
  readonly identity: BuildIdentity;
  readonly signal: AbortSignal;
  /** Bound on each wait of the order, in milliseconds. */
  readonly deadlineMs: number;
}

/** KubeOVN labels every IP object with its subnet. */
const SUBNET_OF_IP = 'ovn.kubernetes.io/subnet';

/** Selects the objects of a layer build's generation that exist for building only. */
export function buildOnlySelector({ farm, identity }: Pick<TeardownOptions, 'farm' | 'identity'>): string {
  return [
    `${LABELS.farm}=${farm}`,
    `${LABELS.layerBuild}=${identity.layerBuild}`,
    `${LABELS.generation}=${identity.generation}`,
    `${LABELS.role} notin (layer,template,source)`,
  ].join(',');
}

/**
 * Switches the build VMs of a generation off at once, without a chance for the guest, and keeps everything else. Their
 * slots are free when the cluster shows the VMIs as ended.
 */
export async function haltMachines(cluster: ClusterClient, options: TeardownOptions): Promise<void> {
  const labels = buildOnlySelector(options);
  const { items } = await cluster.list(RESOURCES.machines, { labels, signal: options.signal });
  for (const { metadata } of items) await forceOff(cluster, metadata?.name ?? '');
}

/**
 * Removes everything of a layer build's generation except layers, templates and shared sources, in the order that
 * KubeOVN needs: gateways and pods, then the addresses they leak, subnets, attachments, VPCs. Idempotent: a run that was
 * cut off is completed by the next one. @throws DeadlineExceeded when something does not go away.
 */
export async function teardownBuild(cluster: ClusterClient, options: TeardownOptions): Promise<void> {
  const remove = remover(cluster, options);
  await haltMachines(cluster, options);
  await remove.request(RESOURCES.egressGateways);
  await remove.request(RESOURCES.machines);
  await remove.request(RESOURCES.pods);
  for (const resource of [RESOURCES.dataVolumes, RESOURCES.claims, RESOURCES.secrets]) {
    await remove.request(resource);
  }
  await releaseInstances(cluster, options);
  await remove.untilGone(RESOURCES.machines);
  await remove.untilGone(RESOURCES.instances);
  // The pods of the VMs carry the labels of their templates.
  await remove.untilGone(RESOURCES.pods);
  await remove.untilGone(RESOURCES.egressGateways);
  const subnets = await remove.request(RESOURCES.subnets);
  await removeLeakedAddresses(cluster, subnets, options);
  await remove.untilGone(RESOURCES.subnets);
  // CNI DEL reads the attachments: they go after the pods.
  await remove.request(RESOURCES.networkAttachments);
  await remove.request(RESOURCES.vpcs);
  await remove.untilGone(RESOURCES.vpcs);
}

function remover(cluster: ClusterClient, options: TeardownOptions) {
  const labels = buildOnlySelector(options);
  const { signal, deadlineMs } = options;
  return {
    /** Asks for the deletion of all that match and gives their names. */
    request: async (resource: Resource): Promise<string[]> => {
      const { items } = await cluster.list(resource, { labels, signal });
      const names = items.map(({ metadata }) => metadata?.name ?? '');
      for (const { metadata } of items) {
        if (!metadata?.deletionTimestamp) await cluster.delete(resource, metadata?.name ?? '', { signal });
      }
      return names;
    },
    untilGone: async (resource: Resource): Promise<void> => {
      await waitForSet(
        cluster,
        { resource, labels },
        {
          signal,
          deadlineMs,
          what: `the ${resource.plural} of layer build ${options.identity.layerBuild} to be removed`,
          until: (objects) => (objects.size === 0 ? true : undefined),
        },
      );
    },
  };
}

/** Nobody will ask any more how these machines ended. */
async function releaseInstances(cluster: ClusterClient, options: TeardownOptions): Promise<void> {
  const { signal } = options;
  const { items } = await cluster.list(RESOURCES.instances, { labels: buildOnlySelector(options), signal });
  for (const { metadata } of items) await releaseFinalInstance(cluster, metadata?.name ?? '', signal);
}

/** A stop with grace 0, because deleting a VM would give its guest the whole shutdown timeout. */
async function forceOff(cluster: ClusterClient, vm: string): Promise<void> {
  try {
    await stopMachine(cluster, vm, { gracePeriod: 0 });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

/**
 * KubeOVN sometimes keeps the address of a pod that is gone, and with it the subnet. Addresses of our own subnets whose
 * pod or VM is absent are deleted.
 */
async function removeLeakedAddresses(
  cluster: ClusterClient,
  subnets: readonly string[],
  { signal }: CallOptions,
): Promise<void> {
  if (subnets.length === 0) return;
  const call = signal ? { signal } : {};
  const { items } = await cluster.list(RESOURCES.ips, { labels: `${SUBNET_OF_IP} in (${subnets.join(',')})`, ...call });
  for (const { metadata, spec } of items) {
    const namespace = spec?.namespace ? { namespace: spec.namespace } : {};
    const kind: Resource<KubernetesObject> = spec?.podType === 'VirtualMachine' ? RESOURCES.machines : RESOURCES.pods;
    const owner = spec?.podName ? await cluster.get(kind, spec.podName, { ...call, ...namespace }) : undefined;
    if (!owner) await cluster.delete(RESOURCES.ips, metadata?.name ?? '', call);
  }
}
