import type { NetworkKind } from '../contracts/network-kinds.ts';
import { type BuildIdentity, LABELS } from '../contracts/object-names.ts';
import { isConflict, isNotFound } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { releaseFinalInstance } from './final-instance.ts';
import { isUnderway, stopMachine } from './machine-actions.ts';
import type { KubernetesObject } from './objects.ts';
import { RESOURCES, type Resource } from './resources.ts';
import { waitForSet } from './wait-for.ts';

/** Whose objects, and within which bounds they are removed. */
export interface TeardownOptions {
  readonly farm: string;
  readonly identity: BuildIdentity;
  readonly signal: AbortSignal;
  /** How the cluster connects machines. */
  readonly network: NetworkKind;
  /** Bound on each wait of the order, in milliseconds. */
  readonly deadlineMs: number;
}

/**
 * The pods of the VMs carry the labels of their templates, and go with their VMs. Deleted by us, an ended one would be
 * gone before its VMI, and KubeOVN keeps the addresses of a pod whose VMI lives: those of the module, and the one on the
 * cluster's own network, which nobody would free.
 */
const NOT_OF_A_MACHINE = 'kubevirt.io!=virt-launcher';

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
 * slots are free when the cluster shows neither VMIs nor pods of them. False when the start of a VM is not carried out yet:
 * such a VM can only be deleted, or switched off later.
 */
export async function haltMachines(cluster: ClusterClient, options: TeardownOptions): Promise<boolean> {
  const labels = buildOnlySelector(options);
  const { items } = await cluster.list(RESOURCES.machines, { labels, signal: options.signal });
  const halted = await Promise.all(items.map(({ metadata }) => forceOff(cluster, metadata?.name ?? '')));
  return halted.every(Boolean);
}

/** Objects that make a module's network, by its kind: what of a generation is looked for beside its machines. */
export const NETWORK_OBJECTS: Readonly<Record<NetworkKind, readonly Resource<KubernetesObject>[]>> = {
  'kube-ovn': [RESOURCES.egressGateways, RESOURCES.networkAttachments, RESOURCES.subnets, RESOURCES.vpcs],
  pod: [RESOURCES.services, RESOURCES.networkPolicies],
};

/**
 * Removes everything of a layer build's generation except layers, templates and shared sources: machines and pods, then
 * the network that they were on. Idempotent: a run that was cut off is completed by the next one.
 * @throws DeadlineExceeded when something does not go away.
 */
export async function teardownBuild(cluster: ClusterClient, options: TeardownOptions): Promise<void> {
  const remove = remover(cluster, options);
  const network = NETWORKS[options.network](cluster, options);
  await haltMachines(cluster, options);
  await network.before();
  await remove.request(RESOURCES.machines);
  await remove.request(RESOURCES.pods, NOT_OF_A_MACHINE);
  for (const resource of [RESOURCES.dataVolumes, RESOURCES.claims, RESOURCES.secrets]) {
    await remove.request(resource);
  }
  await releaseInstances(cluster, options);
  await remove.untilGone(RESOURCES.machines);
  await remove.untilGone(RESOURCES.instances);
  await remove.untilGone(RESOURCES.pods);
  await network.after();
}

/** What a kind of network adds to the order: before the machines are asked to go, and when nothing is on it any more. */
interface NetworkTeardown {
  before(): Promise<void>;
  after(): Promise<void>;
}

const NETWORKS: Readonly<Record<NetworkKind, (cluster: ClusterClient, options: TeardownOptions) => NetworkTeardown>> = {
  'kube-ovn': kubeOvnTeardown,
  pod: podTeardown,
};

/** In the order that KubeOVN needs: gateways with the pods, then the addresses they leak, subnets, attachments, VPCs. */
function kubeOvnTeardown(cluster: ClusterClient, options: TeardownOptions): NetworkTeardown {
  const remove = remover(cluster, options);
  return {
    before: () => remove.request(RESOURCES.egressGateways),
    after: async () => {
      await remove.untilGone(RESOURCES.egressGateways);
      const { items: subnets } = await cluster.list(RESOURCES.subnets, {
        labels: buildOnlySelector(options),
        signal: options.signal,
      });
      // First the addresses: KubeOVN's webhook refuses to delete a subnet of which any is in use.
      await freeAddresses(
        cluster,
        subnets.map(({ metadata }) => metadata?.name ?? ''),
        options,
      );
      await remove.request(RESOURCES.subnets);
      await remove.untilGone(RESOURCES.subnets);
      // CNI DEL reads the attachments: they go after the pods.
      await remove.request(RESOURCES.networkAttachments);
      await remove.request(RESOURCES.vpcs);
      await remove.untilGone(RESOURCES.vpcs);
    },
  };
}

/** Policies outlive what they confine. */
function podTeardown(cluster: ClusterClient, options: TeardownOptions): NetworkTeardown {
  const remove = remover(cluster, options);
  return {
    before: () => remove.request(RESOURCES.services),
    after: () => remove.request(RESOURCES.networkPolicies),
  };
}

function remover(cluster: ClusterClient, options: TeardownOptions) {
  const labels = buildOnlySelector(options);
  const { signal, deadlineMs } = options;
  return {
    /** Asks for the deletion of all that match. */
    request: async (resource: Resource, only?: string): Promise<void> => {
      const { items } = await cluster.list(resource, { labels: only ? `${labels},${only}` : labels, signal });
      for (const { metadata } of items) {
        if (!metadata?.deletionTimestamp) await cluster.delete(resource, metadata?.name ?? '', { signal });
      }
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

/** A stop with grace 0, because deleting a VM would give its guest the whole shutdown timeout. False when it must wait. */
async function forceOff(cluster: ClusterClient, vm: string): Promise<boolean> {
  try {
    await stopMachine(cluster, vm, { gracePeriod: 0 });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
    // Any other conflict says that it does not run.
    return !isUnderway(error);
  }
  return true;
}

/**
 * Waits until no address of these subnets is in use. KubeOVN sometimes keeps the address of a pod that is gone, and with
 * it the subnet: addresses whose pod or VM is absent are deleted.
 */
async function freeAddresses(
  cluster: ClusterClient,
  subnets: readonly string[],
  { signal, deadlineMs, identity }: TeardownOptions,
): Promise<void> {
  if (subnets.length === 0) return;
  const labels = `${SUBNET_OF_IP} in (${subnets.join(',')})`;
  const call = { signal };
  const { items } = await cluster.list(RESOURCES.ips, { labels, signal });
  for (const { metadata, spec } of items) {
    const namespace = spec?.namespace ? { namespace: spec.namespace } : {};
    const kind: Resource<KubernetesObject> = spec?.podType === 'VirtualMachine' ? RESOURCES.machines : RESOURCES.pods;
    const owner = spec?.podName ? await cluster.get(kind, spec.podName, { ...call, ...namespace }) : undefined;
    if (!owner) await cluster.delete(RESOURCES.ips, metadata?.name ?? '', call);
  }
  const what = `the addresses of layer build ${identity.layerBuild} to be free`;
  const until = (addresses: ReadonlyMap<string, unknown>) => (addresses.size === 0 ? true : undefined);
  await waitForSet(cluster, { resource: RESOURCES.ips, labels }, { signal, deadlineMs, what, until });
}
