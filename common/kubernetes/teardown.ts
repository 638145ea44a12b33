import type { NetworkKind } from '../contracts/network-kinds.ts';
import { LABELS } from '../contracts/object-keys.ts';
import type { BuildIdentity } from '../contracts/object-names.ts';
import { isConflict, isNotFound } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { releaseFinalInstance } from './final-instance.ts';
import { isUnderway, stopMachine } from './machine-actions.ts';
import { removedKinds } from './made-kinds.ts';
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
 * The pods of the VMs carry the labels of their templates, and go with their VMs. If the farm deleted an ended one
 * itself, it would be gone before its VMI. KubeOVN keeps the addresses of a pod whose VMI lives, and would never free the one on
 * the cluster's own network.
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

/**
 * Removes everything of a layer build's generation except layers, templates and shared sources, in the order of the table of made
 * kinds: machines and pods, then the network that they were on. Idempotent: a run that was cut off is completed by the next one.
 * @throws DeadlineExceeded when something does not go away.
 */
export async function teardownBuild(cluster: ClusterClient, options: TeardownOptions): Promise<void> {
  const kinds = removedKinds(options.network);
  await haltMachines(cluster, options);
  for (const stage of [1, 2, 3]) {
    const going = kinds.filter((kind) => kind.stage === stage);
    for (const { resource, asked } of going) if (asked) await requestRemoval(cluster, resource, options);
    if (stage === 1) await releaseInstances(cluster, options);
    for (const { resource, awaited } of going) if (awaited) await untilGone(cluster, resource, options);
  }
}

/** Asks for the deletion of all objects of the build of a kind. */
async function requestRemoval(cluster: ClusterClient, resource: Resource, options: TeardownOptions): Promise<void> {
  const { signal } = options;
  const selector = buildOnlySelector(options);
  const labels = resource === RESOURCES.pods ? `${selector},${NOT_OF_A_MACHINE}` : selector;
  const { items } = await cluster.list(resource, { labels, signal });
  if (resource === RESOURCES.subnets) {
    // KubeOVN's webhook refuses to delete a subnet of which an address is in use.
    const subnets = items.map(({ metadata }) => metadata?.name ?? '');
    await freeAddresses(cluster, subnets, options);
  }
  for (const { metadata } of items) {
    if (!metadata?.deletionTimestamp) await cluster.delete(resource, metadata?.name ?? '', { signal });
  }
}

async function untilGone(cluster: ClusterClient, resource: Resource, options: TeardownOptions): Promise<void> {
  const { signal, deadlineMs, identity } = options;
  const labels = buildOnlySelector(options);
  const what = `the ${resource.plural} of layer build ${identity.layerBuild} to be removed`;
  const until = (objects: ReadonlyMap<string, unknown>) => (objects.size === 0 ? true : undefined);
  await waitForSet(cluster, { resource, labels }, { signal, deadlineMs, what, until });
}

/** How these machines ended is not read any more. */
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
    // Any other conflict means that it does not run.
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
