import type { KubeObject } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { TRANSIT_NETWORK } from '../network/egress.ts';
import { DEFAULT_VPC } from './networks.ts';

/** The way to the outside, as administrators make one: gateways of VPCs have their outer addresses in it. */
const EXTERNAL_SUBNET = 'external';

/** The VPC of subnets that name none, which KubeOVN itself creates, and the network behind gateways. */
const SEEDS: readonly KubeObject[] = [
  { apiVersion: 'kubeovn.io/v1', kind: 'Vpc', metadata: { name: DEFAULT_VPC }, spec: {} },
  {
    apiVersion: 'kubeovn.io/v1',
    kind: 'Subnet',
    metadata: { name: EXTERNAL_SUBNET },
    spec: {
      vpc: DEFAULT_VPC,
      cidrBlock: TRANSIT_NETWORK,
      protocol: 'IPv4',
      provider: `${EXTERNAL_SUBNET}.kube-system`,
    },
  },
];

/** Creates what KubeOVN's controllers rely on, where it is absent. */
export async function seedKubeOvn(store: Store): Promise<void> {
  for (const object of SEEDS) {
    if (!store.get(object.kind, { name: object.metadata.name })) await store.create(object);
  }
}
