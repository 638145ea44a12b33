import { relayOf } from '../../common/contracts/guest-route.ts';
import type { LayerSpec } from '../../common/contracts/layers.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { METADATA_IPV4, PRIVATE_IPV4 } from '../../common/fetch/special-addresses.ts';
import type { NetworkPolicy, Pod, Service } from '../../common/kubernetes/objects.ts';
import { domainOf, type ModuleScope, moduleLabels } from '../cluster/build-scope.ts';
import { RELAY_PORTS, relayPod } from '../relay/relay-pod.ts';
import { type RelayExtras, relayUpstreams } from './network-objects.ts';

/** The only known fact about its namespace is that KubeVirt was installed there. */
const VIRT_API = { namespaceSelector: {}, podSelector: { matchLabels: { 'kubevirt.io': 'virt-api' } } };
const DNS_PORT = 53;

/** Labels of a module's guests and relay for NetworkPolicies and Services. */
function guests(scope: ModuleScope): Record<string, string> {
  return { ...moduleLabels(scope, 'build'), 'kubevirt.io': 'virt-launcher' };
}

function relays(scope: ModuleScope, vpc: string): Record<string, string> {
  return { ...moduleLabels(scope, 'build'), [LABELS.relay]: scope.names.relay(vpc) };
}

/**
 * Guests reach each other and their relay, and public addresses where their VPC has internet: no address of the cluster, no
 * other module, no private network. They are reached by each other, and at their SSH ports by KubeVirt for the farm.
 */
export function guestPolicy(scope: ModuleScope, deniedNetworks: readonly string[] = []): NetworkPolicy {
  const { spec, names } = scope;
  const own = [{ podSelector: { matchLabels: guests(scope) } }];
  const relayed = spec.network.vpcs.filter(({ name }) => relayOf(spec, name));
  const served = relayed.map(({ name }) => ({ podSelector: { matchLabels: relays(scope, name) } }));
  const ports = [...new Set(spec.module.vms.map(({ communicator }) => communicator.sshPort))];
  const isOpen = spec.network.vpcs.some(({ internet }) => internet);
  return {
    metadata: { name: names.guestPolicy(), labels: moduleLabels(scope, 'build') },
    spec: {
      podSelector: { matchLabels: guests(scope) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: own }, { from: [VIRT_API], ports: ports.map((port) => ({ protocol: 'TCP', port })) }],
      egress: [
        { to: [...own, ...served] },
        ...(isOpen ? [{ to: [{ ipBlock: publicAddresses(deniedNetworks) }] }] : []),
      ],
    },
  };
}

/** A relay serves its module's guests, and asks the name servers that it forwards to. */
export function relayPolicy(scope: ModuleScope, vpc: string): NetworkPolicy {
  const upstreams = upstreamsOf(scope.spec, vpc);
  const to = upstreams.map((address) => ({ ipBlock: { cidr: `${address}/32` } }));
  return {
    metadata: { name: scope.names.relay(vpc), labels: moduleLabels(scope, 'build') },
    spec: {
      podSelector: { matchLabels: relays(scope, vpc) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [{ podSelector: { matchLabels: guests(scope) } }],
          ports: [...dnsPorts(RELAY_PORTS.dns), { protocol: 'TCP', port: RELAY_PORTS.http }],
        },
      ],
      egress: to.length === 0 ? [] : [{ to, ports: dnsPorts(DNS_PORT) }],
    },
  };
}

/** Its address is the relay's to guests: known before they start, and the same when the pod is recreated. */
export function relayService(scope: ModuleScope, vpc: string): Service {
  return {
    metadata: { name: scope.names.relay(vpc), labels: moduleLabels(scope, 'build') },
    spec: {
      selector: relays(scope, vpc),
      ipFamilies: ['IPv4'],
      ports: [
        ...dnsPorts(RELAY_PORTS.dns).map(({ protocol, port }) => ({
          name: `dns-${protocol.toLowerCase()}`,
          protocol,
          port,
        })),
        { name: 'http', protocol: 'TCP', port: RELAY_PORTS.http },
      ],
    },
  };
}

/** The relay on the pod network: it answers at any address that it has, and opens no connections. */
export function podRelay(scope: ModuleScope, vpc: string, { image, maxFileBytes }: RelayExtras): Pod | undefined {
  if (!relayOf(scope.spec, vpc)) return undefined;
  return relayPod({
    ...{ name: scope.names.relay(vpc), labels: relays(scope, vpc), annotations: {}, image, maxFileBytes },
    address: '0.0.0.0',
    networks: [],
    domain: domainOf(scope.spec),
    records: Object.fromEntries(scope.spec.vms.map(({ name }) => [name, []])),
    upstreams: upstreamsOf(scope.spec, vpc),
  });
}

function upstreamsOf(spec: LayerSpec, vpc: string): string[] {
  return relayUpstreams(
    spec,
    vpc,
    spec.network.subnets.filter((subnet) => subnet.vpc === vpc),
  );
}

function dnsPorts(port: number) {
  return ['UDP', 'TCP'].map((protocol) => ({ protocol, port }));
}

function publicAddresses(deniedNetworks: readonly string[]) {
  const never = [...METADATA_IPV4, ...PRIVATE_IPV4].map(([network, bits]) => `${network}/${bits}`);
  return { cidr: '0.0.0.0/0', except: [...never, ...deniedNetworks] };
}
