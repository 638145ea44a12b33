import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import type { BuildIdentity } from '../../common/contracts/object-names.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { removedKinds } from '../../common/kubernetes/made-kinds.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { labelSelector, RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../common/kubernetes/teardown.ts';
import { waitForSet } from '../../common/kubernetes/wait-for.ts';
import { RUN_LABEL } from '../harness/foreign-cluster.ts';

/** For a cluster that schedules, pulls images and imports for others too. */
const GONE_MS = 300_000;

type Labels = Readonly<Record<string, string>>;

/** What a farm leaves on purpose: templates before the snapshots they name, sources, and what the rest is in. */
const LEFT: readonly Resource<KubernetesObject>[] = [
  RESOURCES.machines,
  RESOURCES.snapshots,
  RESOURCES.dataVolumes,
  RESOURCES.claims,
  RESOURCES.secrets,
];

/** Removes all that a farm has made which is not running any more: builds that were cut off, layers, templates, sources. */
export async function removeFarm(cluster: ClusterClient, farm: string, network: NetworkKind): Promise<void> {
  for (const identity of await cutOff(cluster, farm, network)) {
    const { signal } = new AbortController();
    await teardownBuild(cluster, { farm, identity, network, signal, deadlineMs: GONE_MS });
  }
  const labels = { [LABELS.farm]: farm };
  for (const resource of LEFT) await removeAll(cluster, resource, labels);
  for (const resource of LEFT) await untilGone(cluster, resource, labels);
}

/** The layer builds of which something is left. */
async function cutOff(cluster: ClusterClient, farm: string, network: NetworkKind): Promise<BuildIdentity[]> {
  const found = new Map<string, BuildIdentity>();
  for (const resource of builtKinds(network)) {
    const { items } = await cluster.list(resource, { labels: ofBuilds(farm) });
    for (const { metadata: { labels = {} } = {} } of items) {
      const [layerBuild = '', generation = ''] = [labels[LABELS.layerBuild], labels[LABELS.generation]];
      found.set(`${layerBuild}/${generation}`, { layerBuild, generation: Number(generation) });
    }
  }
  return [...found.values()];
}

/** Waits until a farm has removed behind its builds what they needed. */
export async function untilCleared(cluster: ClusterClient, farm: string, network: NetworkKind): Promise<void> {
  for (const resource of builtKinds(network)) await untilGone(cluster, resource, ofBuilds(farm));
}

/** Kinds that carry the labels of a build, and are gone when it is removed. */
function builtKinds(network: NetworkKind): Resource<KubernetesObject>[] {
  return removedKinds(network).map(({ resource }) => resource);
}

function ofBuilds(farm: string): Labels {
  return { [LABELS.farm]: farm, [LABELS.role]: 'build' };
}

/** Removes what conformance suites have made that were cut off: their namespaces, and what is in none. */
export async function removeSuites(cluster: ClusterClient, run: string, network: NetworkKind): Promise<void> {
  const labels = { [RUN_LABEL]: run };
  const { items } = await cluster.list(RESOURCES.namespaces, { labels });
  for (const { metadata } of items) await freeConfigMaps(cluster, metadata?.name ?? '');
  const kinds = [...(network === 'kube-ovn' ? [RESOURCES.subnets, RESOURCES.vpcs] : []), RESOURCES.namespaces];
  for (const resource of kinds) await removeAll(cluster, resource, labels);
  for (const resource of kinds) await untilGone(cluster, resource, labels);
}

/** Some are held by finalizers of the suites. */
async function freeConfigMaps(cluster: ClusterClient, namespace: string): Promise<void> {
  const { items } = await cluster.list(RESOURCES.configMaps, { namespace });
  for (const { metadata } of items) {
    if (!metadata?.finalizers?.length) continue;
    const patch = { metadata: { finalizers: null } };
    await cluster.mergePatch(RESOURCES.configMaps, metadata.name ?? '', patch, { namespace });
  }
}

async function removeAll(cluster: ClusterClient, resource: Resource, labels: Labels): Promise<void> {
  const { items } = await cluster.list(resource, { labels });
  for (const { metadata } of items) await cluster.delete(resource, metadata?.name ?? '');
}

async function untilGone(cluster: ClusterClient, resource: Resource, labels: Labels): Promise<void> {
  const until = (objects: ReadonlyMap<string, unknown>) => (objects.size === 0 ? true : undefined);
  const what = `the ${resource.plural} with ${labelSelector(labels)} to go`;
  const { signal } = new AbortController();
  await waitForSet(cluster, { resource, labels }, { signal, deadlineMs: GONE_MS, what, until });
}
