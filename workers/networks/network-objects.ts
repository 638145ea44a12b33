import { relayOf } from '../../common/contracts/guest-route.ts';
import type { LayerSpec, SubnetPlan } from '../../common/contracts/layers.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type {
  NetworkAttachmentDefinition,
  Pod,
  Subnet,
  Vpc,
  VpcEgressGateway,
} from '../../common/kubernetes/objects.ts';
import { firstHost, formatIpv4, lastHost, parseIpv4Network } from '../../common/text/ipv4.ts';
import { domainOf, egressOf, type ModuleScope, moduleLabels } from '../cluster/build-scope.ts';
import { relayPod } from '../relay/relay-pod.ts';

/** Asked when a subnet names no servers but its VPC has internet. */
const PUBLIC_NAME_SERVERS = ['1.1.1.1', '8.8.8.8'];
const DAEMON_SOCKET = '/run/openvswitch/kube-ovn-daemon.sock';

/** KubeOVN's name of an attachment: the prefix of its annotations, and of the first one the Subnet's `provider`. */
export function provider(scope: ModuleScope, subnet: string, index = 0): string {
  return `${scope.names.attachment(subnet, index)}.${scope.namespace}.ovn`;
}

/** KubeOVN's own policies: below what lets a VPC's subnets reach each other, above what leads to the egress gateway. */
const DENY_PRIORITY = 30_500;

/**
 * The default route is in it from the start, though the gateway is not there yet: KubeOVN 1.14 drops the gateway's
 * policies when it is added later, and forgets the way out at its next restart when there is none.
 */
export function vpcObject(scope: ModuleScope, vpc: string, deniedNetworks: readonly string[] = []): Vpc {
  const egress = egressOf(scope.spec, vpc);
  const metadata = { name: scope.names.vpc(vpc), labels: moduleLabels(scope, 'build') };
  if (!egress) return { metadata, spec: {} };
  const policyRoutes = deniedNetworks.map((network) => ({
    ...{ priority: DENY_PRIORITY, match: `ip4.dst == ${network}`, action: 'drop' },
  }));
  const staticRoutes = [{ policy: 'policyDst', cidr: '0.0.0.0/0', nextHopIP: egress.address }];
  return { metadata, spec: { staticRoutes, ...(policyRoutes.length > 0 ? { policyRoutes } : {}) } };
}

/** DHCP hands out the relay as name server; it forwards to the subnet's own servers. */
export function subnetObject(scope: ModuleScope, subnet: SubnetPlan): Subnet {
  const relay = relayOf(scope.spec, subnet.vpc);
  const servesDhcp = subnet.dhcp && !subnet.unmanaged;
  return {
    metadata: { name: scope.names.subnet(subnet.name), labels: moduleLabels(scope, 'build') },
    spec: {
      vpc: scope.names.vpc(subnet.vpc),
      cidrBlock: subnet.cidr,
      gateway: subnet.gateway,
      protocol: 'IPv4',
      provider: provider(scope, subnet.name),
      enableDHCP: servesDhcp,
      ...(servesDhcp && relay
        ? { dhcpV4Options: `lease_time=3600,router=${subnet.gateway},dns_server=${relay.address}` }
        : {}),
      // The gateway of a new VPC does not answer before its first pod exists.
      disableGatewayCheck: true,
      excludeIps: plannedAddresses(scope.spec, subnet),
    },
  };
}

/**
 * The addresses of a subnet that KubeOVN must give only to their owners in the plan: only cards that ask for
 * one of them get it.
 */
function plannedAddresses({ vms }: LayerSpec, subnet: SubnetPlan): string[] {
  const { name, gateway, relay, egress, unmanaged } = subnet;
  const ofVms = vms.flatMap(({ nics }) => nics.filter((nic) => nic.subnet === name).map(({ ip }) => ip));
  const ofGuests = unmanaged ? leftToGuests(subnet, ofVms.length) : null;
  const all = [ofGuests, gateway, ...ofVms, egress, relay];
  return [...new Set(all.filter((address) => typeof address === 'string'))];
}

/**
 * KubeOVN grants every card an address, on a bare segment too, and answers for it. There it takes the highest ones, so
 * that a guest may give away the others, the first one to itself. Null where there is not even room for the cards.
 */
function leftToGuests({ cidr }: SubnetPlan, cards: number): string | null {
  const network = parseIpv4Network(cidr);
  assert(network, `The network "${cidr}" of a planned subnet was read before.`);
  // The last host is free, and the one before it is the router's.
  const highest = lastHost(network) - 1 - Math.max(1, cards);
  const first = firstHost(network);
  return highest < first ? null : `${formatIpv4(first)}..${formatIpv4(highest)}`;
}

/**
 * The attachments of a subnet: as many as its most connected VM has cards on it. KubeOVN knows a card by its attachment,
 * and of two cards of a pod on one attachment only the last gets an address.
 */
export function attachmentObjects(scope: ModuleScope, subnet: string): NetworkAttachmentDefinition[] {
  const cards = scope.spec.vms.map(({ nics }) => nics.filter((nic) => nic.subnet === subnet).length);
  return Array.from({ length: Math.max(1, ...cards) }, (_, index) => {
    const config = {
      cniVersion: '0.3.1',
      type: 'kube-ovn',
      server_socket: DAEMON_SOCKET,
      provider: provider(scope, subnet, index),
    };
    return {
      metadata: { name: scope.names.attachment(subnet, index), labels: moduleLabels(scope, 'build') },
      spec: { config: JSON.stringify(config) },
    };
  });
}

/** The egress gateway of a VPC with internet; undefined when it has no managed subnet. */
export function gatewayObject(scope: ModuleScope, vpc: string, externalSubnet: string): VpcEgressGateway | undefined {
  const egress = egressOf(scope.spec, vpc);
  if (!egress) return undefined;
  const managed = scope.spec.network.subnets.filter((subnet) => subnet.vpc === vpc && !subnet.unmanaged);
  return {
    metadata: { name: scope.names.gateway(vpc), labels: moduleLabels(scope, 'build') },
    spec: {
      vpc: scope.names.vpc(vpc),
      replicas: 1,
      internalSubnet: scope.names.subnet(egress.subnet.name),
      internalIPs: [egress.address],
      externalSubnet,
      policies: [{ snat: true, subnets: managed.map(({ name }) => scope.names.subnet(name)) }],
    },
  };
}

/** Options of a relay beyond the plan. */
export interface RelayExtras {
  readonly image: string;
  readonly maxFileBytes: number;
}

/** The relay of a VPC; undefined when it has no managed subnet. */
export function relayObject(scope: ModuleScope, vpc: string, { image, maxFileBytes }: RelayExtras): Pod | undefined {
  const relay = relayOf(scope.spec, vpc);
  if (!relay) return undefined;
  const subnets = scope.spec.network.subnets.filter((subnet) => subnet.vpc === vpc);
  const attachment = scope.names.attachment(relay.subnet.name);
  const provided = `${provider(scope, relay.subnet.name)}.kubernetes.io`;
  return relayPod({
    name: scope.names.relay(vpc),
    labels: moduleLabels(scope, 'build'),
    // Its only network is the VPC, so kubelet cannot probe it and it cannot reach the API.
    annotations: {
      'v1.multus-cni.io/default-network': `${scope.namespace}/${attachment}`,
      [`${provided}/logical_switch`]: scope.names.subnet(relay.subnet.name),
      [`${provided}/ip_address`]: relay.address,
    },
    image,
    address: relay.address,
    networks: subnets.map(({ cidr }) => cidr),
    domain: domainOf(scope.spec),
    records: machineRecords(scope.spec, subnets),
    upstreams: relayUpstreams(scope.spec, vpc, subnets),
    maxFileBytes,
  });
}

/** Addresses that the plan gives to VMs on these subnets, by VM. */
function machineRecords(spec: LayerSpec, subnets: readonly SubnetPlan[]): Record<string, string[]> {
  const names = new Set(subnets.map(({ name }) => name));
  const records = spec.vms.map(({ name, nics }) => {
    const addresses = nics.flatMap(({ subnet, ip }) => (ip !== null && names.has(subnet) ? [ip] : []));
    return [name, addresses] as const;
  });
  return Object.fromEntries(records.filter(([, addresses]) => addresses.length > 0));
}

/** The name servers that a relay forwards to. */
export function relayUpstreams(spec: LayerSpec, vpc: string, subnets: readonly SubnetPlan[]): string[] {
  const given = [...new Set(subnets.flatMap(({ dns }) => dns))];
  if (given.length > 0) return given;
  const hasInternet = spec.network.vpcs.some(({ name, internet }) => name === vpc && internet);
  return hasInternet ? PUBLIC_NAME_SERVERS : [];
}
