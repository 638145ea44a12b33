import type { ClusterConfig } from '../../config/schema.ts';
import type { NetworkKind } from '../../contracts/network-kinds.ts';
import { FarmError } from '../../errors/farm-error.ts';
import { isNotFound } from '../api-error.ts';
import type { ClusterClient } from '../cluster-client.ts';
import type {
  Cdi,
  KubernetesObject,
  KubeVirt,
  ResourceQuota,
  StorageClass,
  StorageProfile,
  Subnet,
  VolumeSnapshotClass,
} from '../objects.ts';
import { RESOURCES, type Resource } from '../resources.ts';
import { describeRight, type Right } from '../rights.ts';

/** Something that was read, or that could not be read for lack of the right to. */
export type Read<T> = { readonly known: T } | 'unreadable';

/** Properties of a cluster that the farm relies on. Lists are empty where the kind is not served. */
export interface ClusterFacts {
  /** `gitVersion` of the API server. */
  readonly kubernetes: string;
  /** Names of the resources that an API group version serves; an absent group serves none. */
  readonly served: ReadonlyMap<string, ReadonlySet<string>>;
  /** The farm namespace. */
  readonly namespace: Read<KubernetesObject | undefined>;
  /** Of the farm namespace. */
  readonly quotas: Read<readonly ResourceQuota[]>;
  readonly kubeVirts: Read<readonly KubeVirt[]>;
  readonly cdis: Read<readonly Cdi[]>;
  readonly storageClasses: Read<readonly StorageClass[]>;
  readonly snapshotClasses: Read<readonly VolumeSnapshotClass[]>;
  readonly storageProfiles: Read<readonly StorageProfile[]>;
  /** The configured egress subnet, and KubeOVN's default one; read where an egress subnet is configured. */
  readonly subnets: Read<readonly Subnet[]>;
  /** Rights that the cluster reports as not granted. */
  readonly refusedRights: Read<readonly Right[]>;
}

/** Scope of the checks, and their subject. */
export interface FactsRequest {
  readonly config: Pick<ClusterConfig, 'namespace' | 'network' | 'externalSubnet'>;
  /** By how the cluster connects machines. */
  rightsOn(network: NetworkKind): readonly Right[];
  readonly signal: AbortSignal;
}

export const KUBE_OVN = 'kubeovn.io/v1';
/** Groups whose resources are looked up; discovery needs no right. */
const GROUPS = [
  'kubevirt.io/v1',
  'subresources.kubevirt.io/v1',
  'cdi.kubevirt.io/v1beta1',
  'snapshot.storage.k8s.io/v1',
  'k8s.cni.cncf.io/v1',
  KUBE_OVN,
];
/** Questions about rights at a time. */
const QUESTIONS = 8;

/** Reads everything that is judged. @throws ClusterUnavailable, or the signal's reason */
export async function readFacts(cluster: ClusterClient, request: FactsRequest): Promise<ClusterFacts> {
  const { config, signal } = request;
  const list = <T extends KubernetesObject>(resource: Resource<T>, fields?: string) =>
    readable(
      async () => (await cluster.list(resource, { signal, ...(fields === undefined ? {} : { fields }) })).items,
      [],
    );
  const served = await readServed(cluster, GROUPS, signal);
  const network = networkOn(served, config);
  const [kubernetes, namespace, refusedRights] = await Promise.all([
    readVersion(cluster, signal),
    readable(() => cluster.get(RESOURCES.namespaces, config.namespace, { signal }), undefined),
    readRefusedRights(cluster, request, request.rightsOn(network)),
  ]);
  return {
    ...{ kubernetes, served, namespace, refusedRights },
    quotas: await list(RESOURCES.quotas),
    kubeVirts: await list(RESOURCES.kubeVirts),
    cdis: await list(RESOURCES.cdis),
    storageClasses: await list(RESOURCES.storageClasses),
    snapshotClasses: await list(RESOURCES.snapshotClasses),
    storageProfiles: await list(RESOURCES.storageProfiles),
    subnets:
      network !== 'kube-ovn' || config.externalSubnet === undefined ? { known: [] } : await list(RESOURCES.subnets),
  };
}

/** `absent` stands for kinds that the API does not serve. */
async function readable<T>(read: () => Promise<T>, absent: T): Promise<Read<T>> {
  try {
    return { known: await read() };
  } catch (error) {
    if (isNotFound(error)) return { known: absent };
    if (error instanceof FarmError && error.code === 'ClusterUnfit') return 'unreadable';
    throw error;
  }
}

async function readJson<T>(cluster: ClusterClient, path: string, signal: AbortSignal): Promise<T> {
  return JSON.parse(String(await cluster.call({ method: 'GET', path }, { signal })));
}

async function readVersion(cluster: ClusterClient, signal: AbortSignal): Promise<string> {
  const version = await readable(() => readJson<{ gitVersion?: string }>(cluster, '/version', signal), {});
  return version === 'unreadable' ? '' : (version.known.gitVersion ?? '');
}

/** How a cluster connects machines: as configured, else by KubeOVN where that is installed. */
export function networkOn(served: ClusterFacts['served'], { network }: Pick<ClusterConfig, 'network'>): NetworkKind {
  return network ?? (served.get(KUBE_OVN)?.has('subnets') ? 'kube-ovn' : 'pod');
}

/** Resources of some API groups. @throws as `readFacts` */
export async function readServed(
  cluster: ClusterClient,
  groups: readonly string[],
  signal: AbortSignal,
): Promise<ClusterFacts['served']> {
  const served = new Map<string, ReadonlySet<string>>();
  for (const group of groups) {
    const document = { resources: [] as { name: string }[] };
    const found = await readable(() => readJson<typeof document>(cluster, `/apis/${group}`, signal), document);
    // Every authenticated account may use discovery; for one that may not, missing kinds show as failing requests.
    if (found !== 'unreadable') served.set(group, new Set(found.known.resources.map(({ name }) => name)));
  }
  return served;
}

/** Asks the cluster about each right by SelfSubjectAccessReview, which every account may. */
async function readRefusedRights(
  cluster: ClusterClient,
  { config, signal }: FactsRequest,
  rights: readonly Right[],
): Promise<Read<readonly Right[]>> {
  const open = [...new Map(rights.map((right) => [describeRight(right), right])).values()];
  const refused: Right[] = [];
  while (open.length > 0) {
    const asked = open.splice(0, QUESTIONS);
    const answers = await readable(
      () => Promise.all(asked.map((right) => isGranted(cluster, { right, namespace: config.namespace }, signal))),
      undefined,
    );
    if (answers === 'unreadable' || answers.known === undefined) return 'unreadable';
    const { known } = answers;
    refused.push(...asked.filter((_, index) => known[index] === false));
  }
  return { known: refused };
}

async function isGranted(
  cluster: ClusterClient,
  { right, namespace }: { readonly right: Right; readonly namespace: string },
  signal: AbortSignal,
): Promise<boolean> {
  const [resource = '', ...subresource] = right.path.split('/');
  const resourceAttributes = {
    ...{ verb: right.verb, group: right.group, resource, subresource: subresource.join('/') },
    ...(right.scope === 'namespaced' ? { namespace } : {}),
  };
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const answer = JSON.parse(String(await cluster.call({ method: 'POST', path, body }, { signal })));
  return (answer as { status?: { allowed?: boolean } }).status?.allowed === true;
}
