import type { V1VirtualMachineInstanceSpec } from '@kubevirt-ui-ext/kubevirt-api/kubevirt';
import { guestRoute, relayOf, subnetOf } from '../../common/contracts/guest-route.ts';
import type { NicPlan } from '../../common/contracts/layers.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { connectThroughRelay } from '../../common/kubernetes/relay-tunnel.ts';
import { type BuildScope, domainOf } from '../cluster/build-scope.ts';
import { ensureNetwork, ensureWaysOut, requestWaysOut } from './ensure-network.ts';
import type { NetworkDriver, Wiring } from './network-driver.ts';
import { provider, relayObject } from './network-objects.ts';

/**
 * VPCs and subnets of the module's own, with the planner's addresses. From the cluster, they are reached only by the
 * relay, through which workers reach guests.
 */
export const kubeOvn: NetworkDriver = {
  ensure: ({ cluster, clusterConfig, signal }, scope) => ensureNetwork(cluster, { scope, clusterConfig, signal }),
  requestWaysOut: ({ cluster, clusterConfig, signal }, scope) =>
    requestWaysOut(cluster, { scope, clusterConfig, signal }),
  ensureWaysOut: ({ cluster, clusterConfig, signal }, scope) =>
    ensureWaysOut(cluster, { scope, clusterConfig, signal }),
  relayPod: relayObject,
  relayAddress: async (_context, { spec }, vpc) => relayOf(spec, vpc)?.address ?? '',
  fillRelay: async () => {},
  buildWiring: async ({ clusterConfig: { bareBinding } }, scope) =>
    wire(scope, scope.plan.nics, { isGuarded: true, bareBinding }),
  templateWiring: (scope, { bareBinding }) => wire(scope, scope.plan.templateNics, { bareBinding }),
  guestName: (_scope, nic) => nic.ip ?? nic.name,
  dial: async ({ cluster }, scope, { port }) => {
    const route = guestRoute(scope);
    assert(route?.nic.ip, 'A guest that is dialled has a planned address.');
    return await connectThroughRelay(cluster, scope.names.relay(route.vpc), { host: route.nic.ip, port });
  },
};

/** Kubernetes takes no more in a pod. */
const MAX_NAME_SERVERS = 3;

/** How the cards of a VM are treated. */
interface WireOptions {
  /**
   * A guest that cannot be a router, because it is on one subnet only, sends under its own addresses or not at all.
   * The addresses of a finished image are up to its guests.
   */
  readonly isGuarded?: boolean;
  /** As `clusters[].bareBinding`. */
  readonly bareBinding?: string | undefined;
}

/** Cards by bridges on the attachments of their subnets. */
export function wire(
  scope: BuildScope,
  nics: readonly NicPlan[],
  { isGuarded = false, bareBinding }: WireOptions = {},
): Wiring {
  const isHost = new Set(nics.map(({ subnet }) => subnet)).size === 1;
  return {
    annotations: nicAnnotations(scope, nics, isGuarded && isHost),
    networks: nics.map((nic) => ({
      name: nic.name,
      multus: { networkName: `${scope.namespace}/${scope.names.attachment(nic.subnet, indexOnSubnet(nic, nics))}` },
    })),
    bindings: nics.map((nic) =>
      bareBinding !== undefined && subnetOf(scope.spec, nic).unmanaged
        ? { binding: { name: bareBinding } }
        : { bridge: {} },
    ),
    resolver: resolver(scope, nics),
  };
}

/** The how many-th card of its VM it is on its subnet, from 0. */
function indexOnSubnet(nic: NicPlan, nics: readonly NicPlan[]): number {
  return nics.filter(({ subnet }) => subnet === nic.subnet).indexOf(nic);
}

/**
 * KubeOVN reads addresses from annotations of the pod. The default route goes to the first managed NIC only: a pod takes
 * one.
 */
function nicAnnotations(scope: BuildScope, nics: readonly NicPlan[], isGuarded: boolean): Record<string, string> {
  const annotations: Record<string, string> = {};
  let hasRoute = false;
  for (const nic of nics) {
    const subnet = subnetOf(scope.spec, nic);
    const prefix = `${provider(scope, nic.subnet, indexOnSubnet(nic, nics))}.kubernetes.io`;
    annotations[`${prefix}/logical_switch`] = scope.names.subnet(nic.subnet);
    annotations[`${prefix}/mac_address`] = nic.mac;
    if (nic.ip !== null) annotations[`${prefix}/ip_address`] = nic.ip;
    if (!subnet.unmanaged && isGuarded) annotations[`${prefix}/port_security`] = 'true';
    if (!subnet.unmanaged && !hasRoute) {
      annotations[`${prefix}/routes`] = JSON.stringify([{ gw: subnet.gateway }]);
      hasRoute = true;
    }
  }
  return annotations;
}

/** The relays of its VPCs and the module's domain; virt-launcher hands them out by DHCP. A VM without any keeps the pod's resolver. */
function resolver(
  scope: BuildScope,
  nics: readonly NicPlan[],
): Pick<V1VirtualMachineInstanceSpec, 'dnsPolicy' | 'dnsConfig'> {
  const vpcs = nics.map((nic) => subnetOf(scope.spec, nic)).flatMap(({ vpc, unmanaged }) => (unmanaged ? [] : [vpc]));
  const addresses = vpcs.map((vpc) => relayOf(scope.spec, vpc)?.address);
  const nameservers = [...new Set(addresses.filter((address) => address !== undefined))].slice(0, MAX_NAME_SERVERS);
  if (nameservers.length === 0) return {};
  return { dnsPolicy: 'None', dnsConfig: { nameservers, searches: [domainOf(scope.spec)] } };
}
