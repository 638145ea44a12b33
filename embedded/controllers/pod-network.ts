import { FarmError } from '../../common/errors/farm-error.ts';
import { formatIpv4, type Ipv4Network } from '../../common/text/ipv4.ts';
import type { KubeObject } from '../api/objects.ts';
import { isFinal } from '../api/subresources/instance-state.ts';
import { KeyedMutex } from '../host/keyed-mutex.ts';
import { firstAddress, networkOfCidrBlock, nextFreeAddress } from '../network/addresses.ts';
import { ensureBridge, ensureTap } from '../network/bridges.ts';
import { DhcpServer } from '../network/dhcp.ts';
import { hasNamespace, namespacePath, runInNamespace } from '../network/ip-command.ts';
import { ensureNamespace, podNamespace, removeNamespace } from '../network/namespaces.ts';
import { ensurePodNetwork } from '../network/pod-network.ts';
import { ensurePodRange, type PodRange } from '../network/pod-range.ts';
import { podRules } from '../network/pod-rules.ts';
import { generatedMac } from './addresses.ts';
import type { ClusterNetwork, MachineNetworks } from './cluster-network.ts';
import { type ControllerContext, hostUser, ownerOfKind, uidOf } from './context.ts';
import type { Vmi, VmiInterface, VmiNetwork } from './kubevirt-types.ts';
import { ensureLauncherPod, launcherPodName } from './launcher-pod.ts';
import { podAddress, servedPorts, trafficOf } from './pod-policies.ts';
import { ensureVirtApi } from './virt-api-pod.ts';
import { modelOf, resolverOf } from './vmi-networks.ts';
import { WorkQueue } from './work-queue.ts';

/** KubeVirt's, for a network that names no `vmNetworkCIDR`. */
const DEFAULT_GUEST_NETWORK = '10.0.2.0/24';
/** Seconds; the value of KubeVirt's DHCP server. */
const LEASE_SECONDS = 86_313_600;

/**
 * The pod network of a cluster without KubeOVN. Every pod has a namespace of its own on one bridge; a machine is in that
 * of its launcher pod, behind KubeVirt's `masquerade`, and its DHCP server too. Services and NetworkPolicies are packet
 * filters in these namespaces, rewritten whenever something that they depend on changes.
 */
export class PodNetworkOfCluster implements ClusterNetwork {
  readonly kinds: readonly string[] = [];
  readonly #context: ControllerContext;
  readonly #allocating = new KeyedMutex();
  readonly #servers = new Map<string, DhcpServer>();
  /** Rules in force, by namespace. */
  readonly #rules = new Map<string, string>();
  #range: Promise<PodRange> | undefined;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    const { store, signal, clock, logger } = this.#context;
    await ensureVirtApi(store, (await this.#podRange()).host);
    const running = store.list<Vmi>('VirtualMachineInstance').filter((vmi) => !isFinal(vmi) && isUp(vmi));
    // Their machines continued; their DHCP servers are restarted.
    for (const vmi of running) await this.connectMachine(vmi);
    const queue = new WorkQueue({ name: 'NetworkPolicy', reconcile: () => this.#converge(), clock, logger, signal });
    store.subscribe(['Pod', 'Service', 'NetworkPolicy', 'Namespace'], () => queue.add('all'), signal);
  }

  async connectMachine(vmi: Vmi): Promise<MachineNetworks> {
    const cards = (vmi.spec.domain.devices.interfaces ?? []).filter(({ state }) => state !== 'absent');
    const [card] = cards;
    if (!card) return { nics: [], namespace: undefined };
    const network = assertMasqueraded(vmi, cards);
    await ensureLauncherPod(this.#context, vmi);
    const namespace = podNamespace(this.#context.layout, uidOf(vmi));
    await ensureNamespace(namespace, { isRouter: true });
    const launcher = this.#launcherOf(vmi);
    await this.#plugIn(launcher, namespace);
    const guests = guestNetwork(network);
    const subnet = uidOf(vmi);
    await ensureBridge({ namespace, subnet, address: `${firstAddress(guests)}/${guests.prefix}` });
    const mac = (card.macAddress ?? generatedMac(uidOf(vmi))).toLowerCase();
    await this.#serveDhcp(vmi, { namespace, guests, mac });
    const user = hostUser(this.#context, vmi);
    const tap = await ensureTap({ id: subnet, machineNamespace: namespace, vpcNamespace: namespace, subnet, user });
    await this.#confine(this.#launcherOf(vmi), namespace);
    const { name, bootOrder, pciAddress } = card;
    const nic = {
      ...{ name, model: modelOf(card), mac, tap },
      ...(bootOrder === undefined ? {} : { bootOrder }),
      ...(pciAddress === undefined ? {} : { pciAddress }),
    };
    return { nics: [nic], namespace: namespacePath(namespace) };
  }

  async disconnectMachine(vmi: Vmi): Promise<void> {
    const namespace = podNamespace(this.#context.layout, uidOf(vmi));
    await this.#dhcpServer(vmi, namespace).remove();
    this.#servers.delete(uidOf(vmi));
    await removeNamespace(namespace);
    this.#rules.delete(namespace);
  }

  async connectPod(pod: KubeObject, namespace: string): Promise<string> {
    const address = await this.#plugIn(pod, namespace);
    await this.#confine(this.#context.store.get('Pod', pod.metadata) ?? pod, namespace);
    return address;
  }

  #podRange(): Promise<PodRange> {
    this.#range ??= ensurePodRange(this.#context.layout, this.#context.guestNetworks);
    return this.#range;
  }

  #launcherOf(vmi: Vmi): KubeObject {
    const { namespace } = vmi.metadata;
    const launcher = this.#context.store.get('Pod', { namespace, name: launcherPodName(vmi) });
    if (!launcher) throw new FarmError('NotFound', `The launcher pod of "${vmi.metadata.name}" has gone`);
    return launcher;
  }

  async #plugIn(pod: KubeObject, namespace: string): Promise<string> {
    const { namespace: vpcNamespace, subnet, cidr, gateway } = await this.#podRange();
    const address = await this.#allocate(pod);
    await ensurePodNetwork({
      ...{ namespace, podUid: uidOf(pod), vpcNamespace, subnet, gateway, mac: generatedMac(uidOf(pod)) },
      address: `${address}/${cidr.prefix}`,
    });
    return address;
  }

  /** It is in the pod's status before it is used, so that no other pod gets it, also after a crash. */
  async #allocate(pod: KubeObject): Promise<string> {
    const { store } = this.#context;
    return await this.#allocating.run('addresses', async () => {
      const known = store.get('Pod', pod.metadata)?.status?.['podIP'];
      if (typeof known === 'string') return known;
      const { cidr, gateway } = await this.#podRange();
      const used = new Set(store.list('Pod').flatMap(({ status }) => (status?.['podIP'] as string | undefined) ?? []));
      const address = nextFreeAddress({ cidr, excluded: [gateway], used });
      if (address === undefined) throw new FarmError('ExceedsLimits', 'The pod network has no free address');
      await store.updateStatus('Pod', pod.metadata, (status) => {
        Object.assign(status, { podIP: address, podIPs: [{ ip: address }] });
      });
      return address;
    });
  }

  #dhcpServer(vmi: Vmi, namespace: string): DhcpServer {
    const { layout, confiner, clock } = this.#context;
    const known = this.#servers.get(uidOf(vmi));
    const server = known ?? new DhcpServer({ layout, confiner, namespace, subnet: uidOf(vmi), clock });
    this.#servers.set(uidOf(vmi), server);
    return server;
  }

  async #serveDhcp(
    vmi: Vmi,
    { namespace, guests, mac }: { readonly namespace: string; readonly guests: Ipv4Network; readonly mac: string },
  ): Promise<void> {
    const { nameServers, searches } = resolverOf(vmi);
    const server = this.#dhcpServer(vmi, namespace);
    await server.ensure({ cidr: guests, router: firstAddress(guests), nameServers, leaseSeconds: LEASE_SECONDS });
    await server.reserve({ mac, ip: guestAddress(guests), hostname: vmi.spec.hostname ?? vmi.metadata.name, searches });
  }

  /** Puts the packet filter of every pod in force that changed. */
  async #converge(): Promise<void> {
    const { store, layout } = this.#context;
    for (const pod of store.list('Pod')) {
      if (podAddress(pod) === undefined) continue;
      const machine = ownerOfKind(pod, 'VirtualMachineInstance');
      const namespace = podNamespace(layout, machine?.uid ?? uidOf(pod));
      if (await hasNamespace(namespace)) await this.#confine(pod, namespace);
    }
  }

  async #confine(pod: KubeObject, namespace: string): Promise<void> {
    const { store } = this.#context;
    await this.#allocating.run(namespace, async () => {
      const rules = podRules({
        ...trafficOf(store, pod),
        services: servedPorts(store),
        guest: this.#guestIn(pod),
      });
      if (this.#rules.get(namespace) === rules) return;
      await runInNamespace(namespace, ['nft', '-f', '-'], rules);
      this.#rules.set(namespace, rules);
    });
  }

  #guestIn(pod: KubeObject): string | undefined {
    const owner = ownerOfKind(pod, 'VirtualMachineInstance');
    const { namespace } = pod.metadata;
    const vmi = owner && this.#context.store.get<Vmi>('VirtualMachineInstance', { namespace, name: owner.name });
    const network = vmi?.spec.networks?.find(({ pod: network }) => network !== undefined);
    return network && guestAddress(guestNetwork(network));
  }
}

function isUp(vmi: Vmi): boolean {
  return vmi.status?.phase === 'Scheduled' || vmi.status?.phase === 'Running';
}

/** The one network of a machine. @throws FarmError `ExceedsLimits` for what this cluster has not */
function assertMasqueraded(vmi: Vmi, cards: readonly VmiInterface[]): VmiNetwork {
  const [card] = cards;
  const network = vmi.spec.networks?.find(({ name }) => name === card?.name);
  if (cards.length === 1 && network?.pod && card?.masquerade) return network;
  throw new FarmError('ExceedsLimits', 'The embedded cluster has the pod network only: one card, bound by masquerade');
}

function guestNetwork({ pod }: VmiNetwork): Ipv4Network {
  return networkOfCidrBlock(pod?.vmNetworkCIDR || DEFAULT_GUEST_NETWORK);
}

/** KubeVirt's choice: the second address, behind the gateway. */
function guestAddress({ base }: Ipv4Network): string {
  return formatIpv4(base + 2);
}
