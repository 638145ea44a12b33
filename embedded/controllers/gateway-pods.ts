import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt, type KubeObject } from '../api/objects.ts';
import { shortHash } from '../host/layout.ts';
import { ensureAddress } from './addresses.ts';
import { type ControllerContext, ownerReference, uidOf } from './context.ts';
import type { Networks, SubnetSettings } from './networks.ts';
import { writePodStatus } from './pod-status.ts';
import { NODE_NAME } from './vmi-status.ts';

const APP = 'vpc-egress-gateway';
/** From the creation of a pod to its readiness. */
const START_MS = 500;

/** Whether a pod stands for an egress gateway and must not be run. */
export function isGatewayPod(pod: KubeObject): boolean {
  return pod.metadata.labels?.['app'] === APP;
}

/** What the pods of a gateway have come to. */
export interface GatewayState {
  /** Of the pods that are ready. */
  readonly addresses: readonly string[];
  /** Until the next one is ready; 0 when all are. */
  readonly waitMs: number;
}

/** Pods of egress gateways. They run no process, but each takes a moment to be ready, and an address. */
export class GatewayPods {
  readonly #context: ControllerContext;
  readonly #networks: Networks;
  /** When pods that are not ready were first looked at, by uid. */
  readonly #startedAt = new Map<string, number>();

  constructor(context: ControllerContext, networks: Networks) {
    this.#context = context;
    this.#networks = networks;
  }

  /**
   * Makes one pod per replica and removes those beyond. Each takes an address of the internal subnet as every pod does: the
   * one of `internalIPs` that is its, else the lowest free one.
   */
  async ensure(gateway: KubeObject, { vpc, replicas }: { vpc: string; replicas: number }): Promise<GatewayState> {
    const { store } = this.#context;
    const { namespace } = gateway.metadata;
    const subnet = internalSubnet(this.#context, this.#networks, { gateway, vpc });
    const requested = fieldAt(gateway.spec, 'internalIPs');
    const addresses: string[] = [];
    const waits: number[] = [];
    for (let index = 0; index < replicas; index += 1) {
      const name = podName(gateway, index);
      const pod = store.get('Pod', { namespace, name }) ?? (await store.create(gatewayPod(gateway, name)));
      const { ip } = await ensureAddress(this.#context, this.#networks, {
        namespace: namespace ?? '',
        owner: name,
        ownerType: 'Pod',
        subnet,
        provider: subnet.provider,
        requestedIp: Array.isArray(requested) && typeof requested[index] === 'string' ? requested[index] : undefined,
        requestedMac: undefined,
      });
      const waitMs = await this.#start(pod, ip);
      if (waitMs > 0) waits.push(waitMs);
      else addresses.push(ip);
    }
    for (let index = replicas; store.get('Pod', { namespace, name: podName(gateway, index) }); index += 1) {
      await store.delete('Pod', { namespace, name: podName(gateway, index) });
    }
    return { addresses, waitMs: waits.length === 0 ? 0 : Math.min(...waits) };
  }

  /** Returns how long it takes until the pod is ready; 0 when it is. */
  async #start(pod: KubeObject, podIp: string): Promise<number> {
    if (pod.status?.['phase'] === 'Running') return 0;
    const now = this.#context.clock.now();
    const startedAt = this.#startedAt.get(uidOf(pod)) ?? now;
    this.#startedAt.set(uidOf(pod), startedAt);
    const waitMs = startedAt + START_MS - now;
    if (waitMs > 0) return waitMs;
    await writePodStatus(this.#context, pod, { phase: 'Running', state: { kind: 'running' }, podIp });
    this.#startedAt.delete(uidOf(pod));
    return 0;
  }
}

function podName(gateway: KubeObject, index: number): string {
  return `${gateway.metadata.name}-${shortHash(`${uidOf(gateway)}/${index}`, 10)}`;
}

/** The subnet that the gateway names, else the VPC's first. */
function internalSubnet(
  { store }: ControllerContext,
  networks: Networks,
  { gateway, vpc }: { readonly gateway: KubeObject; readonly vpc: string },
): SubnetSettings {
  const name = gateway.spec?.['internalSubnet'];
  const subnets = store.list('Subnet').map((subnet) => networks.plan(subnet));
  const found = subnets.find((subnet) => (name ? subnet.name === name : subnet.vpc === vpc));
  if (!found) throw new FarmError('NotFound', `The internal subnet "${String(name ?? '')}" of "${vpc}" does not exist`);
  return found;
}

function gatewayPod(gateway: KubeObject, name: string): KubeObject {
  const { namespace } = gateway.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { app: APP, 'ovn.kubernetes.io/vpc-egress-gateway': gateway.metadata.name },
      ownerReferences: [ownerReference(gateway)],
    },
    spec: { nodeName: NODE_NAME, containers: [{ name: 'gateway', image: 'vpc-nat-gateway' }] },
    status: { phase: 'Pending' },
  };
}
