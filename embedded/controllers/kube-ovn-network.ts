import type { KubeObject } from '../api/objects.ts';
import { ensureLonelyNamespace, ensurePodNetwork } from '../network/pod-network.ts';
import { ensureAddress, startAddressCollector } from './addresses.ts';
import type { ClusterNetwork, MachineNetworks } from './cluster-network.ts';
import { type ControllerContext, uidOf } from './context.ts';
import { startEgressGatewayController } from './egress-gateway.ts';
import type { Vmi } from './kubevirt-types.ts';
import { Networks } from './networks.ts';
import { seedKubeOvn } from './seed.ts';
import { prepareSubnet, startSubnetController } from './subnet.ts';
import { connectMachine, disconnectMachine } from './vmi-networks.ts';
import { startVpcController } from './vpc.ts';

const DEFAULT_NETWORK = 'v1.multus-cni.io/default-network';

/** KubeOVN behind Multus: a namespace per VPC, a bridge per subnet. */
export class KubeOvnNetwork implements ClusterNetwork {
  readonly kinds = ['Subnet', 'NetworkAttachmentDefinition'];
  readonly #context: ControllerContext;
  readonly #networks: Networks;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#networks = new Networks(context);
  }

  async start(): Promise<void> {
    await seedKubeOvn(this.#context.store);
    startAddressCollector(this.#context);
    startVpcController(this.#context);
    startSubnetController(this.#context, this.#networks);
    startEgressGatewayController(this.#context, this.#networks);
  }

  connectMachine(vmi: Vmi): Promise<MachineNetworks> {
    return connectMachine(this.#context, this.#networks, vmi);
  }

  disconnectMachine(vmi: Vmi): Promise<void> {
    return disconnectMachine(this.#context, this.#networks, vmi);
  }

  /** A pod that names no network has none: it reaches only itself. */
  async connectPod(pod: KubeObject, namespace: string): Promise<string | undefined> {
    const annotations = pod.metadata.annotations ?? {};
    const network = annotations[DEFAULT_NETWORK];
    if (network === undefined) {
      await ensureLonelyNamespace(namespace);
      return undefined;
    }
    const [first = '', second] = network.split('/');
    const attachment = {
      namespace: second === undefined ? (pod.metadata.namespace ?? '') : first,
      name: second ?? first,
    };
    const provider = `${attachment.name}.${attachment.namespace}.ovn`;
    const requested = (name: string) => annotations[`${provider}.kubernetes.io/${name}`];
    const { plan, subnet } = this.#networks.subnetOf(attachment, requested('logical_switch'));
    await prepareSubnet(this.#networks, subnet);
    const { ip, mac } = await ensureAddress(this.#context, this.#networks, {
      namespace: pod.metadata.namespace ?? '',
      owner: pod.metadata.name,
      ownerType: 'Pod',
      subnet: plan,
      provider,
      requestedIp: requested('ip_address'),
      requestedMac: requested('mac_address'),
    });
    await ensurePodNetwork({
      namespace,
      podUid: uidOf(pod),
      vpcNamespace: plan.namespace,
      subnet: plan.name,
      address: `${ip}/${plan.cidr.prefix}`,
      mac,
      gateway: plan.gateway,
    });
    return ip;
  }
}
