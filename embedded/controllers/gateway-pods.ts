import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt, type KubeObject } from '../api/objects.ts';
import { shortHash } from '../host/layout.ts';
import { ensureAddress } from './addresses.ts';
import { type ControllerContext, ownerReference, uidOf } from './context.ts';
import type { Networks, SubnetSettings } from './networks.ts';
import { NODE_NAME } from './vmi-status.ts';

const APP = 'vpc-egress-gateway';

/** Whether a pod stands for an egress gateway and must not be run. */
export function isGatewayPod(pod: KubeObject): boolean {
  return pod.metadata.labels?.['app'] === APP;
}

/**
 * Makes one pod per replica and removes those beyond. They run no process, but each takes an address of the internal
 * subnet as every pod does: the one of `internalIPs` that is its, else the lowest free one. Returns the addresses.
 */
export async function ensureGatewayPods(
  context: ControllerContext,
  networks: Networks,
  { gateway, vpc, replicas }: { readonly gateway: KubeObject; readonly vpc: string; readonly replicas: number },
): Promise<string[]> {
  const { store } = context;
  const { namespace } = gateway.metadata;
  const subnet = internalSubnet(context, networks, { gateway, vpc });
  const wanted = fieldAt(gateway.spec, 'internalIPs');
  const addresses: string[] = [];
  for (let index = 0; index < replicas; index += 1) {
    const name = podName(gateway, index);
    if (!store.get('Pod', { namespace, name })) await store.create(gatewayPod(gateway, name));
    const { ip } = await ensureAddress(context, networks, {
      namespace: namespace ?? '',
      owner: name,
      ownerType: 'Pod',
      subnet,
      provider: subnet.provider,
      wantedIp: Array.isArray(wanted) && typeof wanted[index] === 'string' ? wanted[index] : undefined,
      wantedMac: undefined,
    });
    addresses.push(ip);
  }
  for (let index = replicas; store.get('Pod', { namespace, name: podName(gateway, index) }); index += 1) {
    await store.delete('Pod', { namespace, name: podName(gateway, index) });
  }
  return addresses;
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
    status: { phase: 'Running' },
  };
}
