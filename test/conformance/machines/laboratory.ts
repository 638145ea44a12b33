import { type Answer, ClusterClient } from '../../harness/cluster-client.ts';
import {
  conformanceCluster,
  type EmbeddedCluster,
  type EmbeddedClusterOptions,
} from '../../harness/embedded-cluster.ts';
import { foreignKubeconfig, run, runLabels } from '../../harness/foreign-cluster.ts';

/** Paths of the kinds that the suites use, without the name. */
const PATHS = {
  Namespace: () => '/api/v1/namespaces',
  Service: (ns) => `/api/v1/namespaces/${ns}/services`,
  NetworkPolicy: (ns) => `/apis/networking.k8s.io/v1/namespaces/${ns}/networkpolicies`,
  Pod: (ns) => `/api/v1/namespaces/${ns}/pods`,
  Secret: (ns) => `/api/v1/namespaces/${ns}/secrets`,
  PersistentVolumeClaim: (ns) => `/api/v1/namespaces/${ns}/persistentvolumeclaims`,
  DataVolume: (ns) => `/apis/cdi.kubevirt.io/v1beta1/namespaces/${ns}/datavolumes`,
  VolumeSnapshot: (ns) => `/apis/snapshot.storage.k8s.io/v1/namespaces/${ns}/volumesnapshots`,
  VolumeSnapshotContent: () => '/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents',
  VirtualMachine: (ns) => `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachines`,
  VirtualMachineInstance: (ns) => `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstances`,
  NetworkAttachmentDefinition: (ns) => `/apis/k8s.cni.cncf.io/v1/namespaces/${ns}/network-attachment-definitions`,
  Vpc: () => '/apis/kubeovn.io/v1/vpcs',
  Subnet: () => '/apis/kubeovn.io/v1/subnets',
  IP: () => '/apis/kubeovn.io/v1/ips',
  VirtualMachineExport: (ns) => `/apis/export.kubevirt.io/v1beta1/namespaces/${ns}/virtualmachineexports`,
  VpcEgressGateway: (ns) => `/apis/kubeovn.io/v1/namespaces/${ns}/vpc-egress-gateways`,
} as const satisfies Record<string, (namespace: string) => string>;

export type Kind = keyof typeof PATHS;

/** What the suites read of an object. */
export interface Seen {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>> & {
    readonly phase?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
  };
}

/** Reasons of an importer that ended without an image. */
const FAILED = new Set(['Error', 'ImagePullFailed']);

export const NAMESPACE = `machines-${run}`;
/** Importers and snapshots of a real cluster take their time. */
const WAIT_MS = foreignKubeconfig ? 300_000 : 90_000;

interface ImportFailure {
  readonly restarts?: number;
  readonly since?: string | undefined;
}

/** A cluster and what tests do with it, through its kubeconfig only. */
export class Laboratory {
  readonly cluster: EmbeddedCluster;
  readonly client: ClusterClient;

  private constructor(cluster: EmbeddedCluster) {
    this.cluster = cluster;
    this.client = new ClusterClient(cluster.kubeconfig);
  }

  static async open(options: EmbeddedClusterOptions = {}): Promise<Laboratory> {
    const laboratory = new Laboratory(
      await conformanceCluster({ ...options, config: { kvm: 'off', ...options.config } }),
    );
    await laboratory.create('Namespace', { metadata: { name: NAMESPACE, labels: runLabels } });
    return laboratory;
  }

  async close(): Promise<void> {
    if (foreignKubeconfig) await this.client.send('DELETE', `/api/v1/namespaces/${NAMESPACE}`);
    await this.client.close();
    await this.cluster.stop();
  }

  path(kind: Kind, name?: string): string {
    const collection = PATHS[kind](NAMESPACE);
    return name === undefined ? collection : `${collection}/${name}`;
  }

  async create(kind: Kind, object: object): Promise<Seen> {
    const path = this.path(kind);
    const [, group, version] = /^\/apis\/([^/]+)\/([^/]+)/.exec(path) ?? [];
    const typed = { apiVersion: group === undefined ? 'v1' : `${group}/${version}`, kind, ...object };
    const answer = await this.client.send('POST', path, typed);
    this.#expectSuccess(answer, `create ${kind}`);
    return answer.body as unknown as Seen;
  }

  async get(kind: Kind, name: string): Promise<Seen | undefined> {
    const { code, body } = await this.client.send('GET', this.path(kind, name));
    return code === 404 ? undefined : (body as unknown as Seen);
  }

  async delete(kind: Kind, name: string): Promise<void> {
    this.#expectSuccess(await this.client.send('DELETE', this.path(kind, name)), `delete ${kind} ${name}`);
  }

  async merge(kind: Kind, name: string, patch: object): Promise<void> {
    const answer = await this.client.patch(this.path(kind, name), 'merge-patch+json', patch);
    this.#expectSuccess(answer, `patch ${kind} ${name}`);
  }

  /** Carries out an action of KubeVirt's subresource API. */
  async act(path: string, body: object = {}): Promise<Answer> {
    const prefix = `/apis/subresources.kubevirt.io/v1/namespaces/${NAMESPACE}`;
    const answer = await this.client.send('PUT', `${prefix}/${path}`, body);
    this.#expectSuccess(answer, path);
    return answer;
  }

  /** Watches one object until it is as expected; every state on the way, or since a version, is handed to the condition. */
  async until(kind: Kind, name: string, condition: (object: Seen) => boolean, since?: string): Promise<Seen> {
    const from = since === undefined ? '' : `&resourceVersion=${since}`;
    return await this.#watch(kind, name, ({ type, object }) => type !== 'DELETED' && condition(object), from);
  }

  /** Watches one object until it is gone, from the very list in which it was still there. */
  async untilGone(kind: Kind, name: string): Promise<void> {
    const { body } = await this.client.send('GET', this.path(kind));
    const { metadata, items } = body as unknown as { metadata: { resourceVersion: string }; items: Seen[] };
    if (!items.some((item) => item.metadata.name === name)) return;
    await this.#watch(kind, name, ({ type }) => type === 'DELETED', `&resourceVersion=${metadata.resourceVersion}`);
  }

  async untilPhase(kind: Kind, name: string, phase: string): Promise<Seen> {
    return await this.until(kind, name, ({ status }) => status?.phase === phase);
  }

  /**
   * Watches an import, since a version, until an attempt at it failed that came after so many restarts. The first restart
   * follows its failure at once: who ends an attempt watches since a version from before that.
   */
  async untilImportFails(name: string, { restarts = 0, since }: ImportFailure = {}): Promise<Seen> {
    const hasFailed = ({ status }: Seen) => {
      const running = status?.conditions?.find(({ type }) => type === 'Running');
      const isFailure = running?.status === 'False' && FAILED.has(running.reason ?? '');
      return isFailure && Number(status?.['restartCount'] ?? 0) >= restarts;
    };
    return await this.until('DataVolume', name, hasFailed, since);
  }

  async #watch(
    kind: Kind,
    name: string,
    condition: (event: { readonly type: string; readonly object: Seen }) => boolean,
    from = '',
  ): Promise<Seen> {
    const query = `watch=true&fieldSelector=metadata.name%3D${name}&timeoutSeconds=${WAIT_MS / 1000}${from}`;
    let last: unknown;
    for await (const event of this.client.watch(`${this.path(kind)}?${query}`)) {
      last = event.object;
      const seen = { type: event.type, object: event.object as unknown as Seen };
      if (condition(seen)) return seen.object;
    }
    throw new Error(`${kind} "${name}" was not as expected; last seen: ${JSON.stringify(last)}`);
  }

  #expectSuccess({ code, body }: Answer, doing: string): void {
    if (code >= 300) throw new Error(`${doing}: ${code} ${JSON.stringify(body)}`);
  }
}
