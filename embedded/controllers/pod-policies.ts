import { itemsOf, listAt } from '../api/json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject } from '../api/objects.ts';
import { compileLabelSelector } from '../api/selectors.ts';
import type { Store } from '../api/store.ts';
import type { ServedPort, Traffic } from '../network/pod-rules.ts';

type Direction = 'Ingress' | 'Egress';

const PEERS = { Ingress: 'from', Egress: 'to' } as const;
const ADDRESS = { Ingress: 'saddr', Egress: 'daddr' } as const;

/** Traffic that the NetworkPolicies allow a pod: the union of their rules. */
export function trafficOf(store: Store, pod: KubeObject): Traffic {
  const { namespace } = pod.metadata;
  const own = store.list('NetworkPolicy', { namespace }).filter(({ spec }) => selects(spec?.['podSelector'], pod));
  const allowed = (direction: Direction) => {
    const policies = own.filter(({ spec }) => listAt(spec, 'policyTypes').includes(direction));
    if (policies.length === 0) return undefined;
    const rules = policies.flatMap(({ spec }) => itemsOf(spec, direction.toLowerCase()));
    return rules.flatMap((rule) => conditionsOf(store, { namespace, rule, direction }));
  };
  return { arriving: allowed('Ingress'), leaving: allowed('Egress') };
}

/** The Services with a running pod behind them; the first one of each gets everything. */
export function servedPorts(store: Store): ServedPort[] {
  return store.list('Service').flatMap((service) => {
    const address = service.spec?.['clusterIP'];
    const selector = service.spec?.['selector'];
    if (typeof address !== 'string' || address === 'None' || !isJsonObject(selector)) return [];
    const { namespace } = service.metadata;
    const [target] = store
      .list('Pod', { namespace })
      .filter((pod) => pod.status?.['phase'] === 'Running' && selects({ matchLabels: selector }, pod))
      .flatMap((pod) => podAddress(pod) ?? []);
    if (target === undefined) return [];
    return itemsOf(service.spec, 'ports').map(({ protocol, port, targetPort }) => ({
      ...{ address, target, protocol: String(protocol ?? 'TCP'), port: Number(port) },
      targetPort: typeof targetPort === 'number' ? targetPort : Number(port),
    }));
  });
}

interface RuleOfPolicy {
  readonly namespace: string | undefined;
  readonly rule: JsonObject;
  readonly direction: Direction;
}

/** A rule as conditions of nftables. Without peers it applies to all peers, without ports to all ports. */
function conditionsOf(store: Store, { namespace, rule, direction }: RuleOfPolicy): string[] {
  const peers = itemsOf(rule, PEERS[direction]);
  const from =
    peers.length === 0 ? [''] : peers.flatMap((peer) => peerCondition(store, { namespace, peer, direction }));
  const ports = itemsOf(rule, 'ports').map(
    ({ protocol, port }) => `${String(protocol ?? 'TCP').toLowerCase()} dport ${Number(port)}`,
  );
  return from.flatMap((who) => (ports.length === 0 ? [who] : ports.map((port) => `${who} ${port}`)));
}

function peerCondition(
  store: Store,
  { namespace, peer, direction }: Omit<RuleOfPolicy, 'rule'> & { readonly peer: JsonObject },
): string[] {
  const side = `ip ${ADDRESS[direction]}`;
  const block = peer['ipBlock'];
  if (isJsonObject(block)) {
    const except = listAt(block, 'except');
    return [`${side} ${String(block['cidr'])}${except.length === 0 ? '' : ` ${side} != { ${except.join(', ')} }`}`];
  }
  const inNamespaces = peer['namespaceSelector'];
  const namespaces =
    inNamespaces === undefined
      ? [namespace]
      : store.list('Namespace').flatMap((found) => (selects(inNamespaces, found) ? [found.metadata.name] : []));
  const pods = namespaces.flatMap((name) => store.list('Pod', { namespace: name }));
  const addresses = pods
    .filter((pod) => selects(peer['podSelector'] ?? {}, pod))
    .flatMap((pod) => podAddress(pod) ?? []);
  return addresses.length === 0 ? [] : [`${side} { ${[...new Set(addresses)].sort().join(', ')} }`];
}

/** The address of a pod that has not ended. */
export function podAddress({ status }: KubeObject): string | undefined {
  const address = status?.['podIP'];
  const hasEnded = status?.['phase'] === 'Succeeded' || status?.['phase'] === 'Failed';
  return typeof address === 'string' && !hasEnded ? address : undefined;
}

/** Whether a LabelSelector (`matchLabels`, `matchExpressions`) is about an object; an empty one is about all. */
function selects(selector: unknown, object: KubeObject): boolean {
  const labels = Object.entries((fieldAt(selector, 'matchLabels') ?? {}) as JsonObject);
  const terms = [
    ...labels.map(([key, value]) => `${key}=${String(value)}`),
    ...itemsOf(selector, 'matchExpressions').map(({ key, operator, values }) =>
      expressionText(String(key), String(operator), values),
    ),
  ];
  return compileLabelSelector(terms.join(','))(object);
}

function expressionText(key: string, operator: string, values: unknown): string {
  if (operator === 'Exists') return key;
  if (operator === 'DoesNotExist') return `!${key}`;
  return `${key} ${operator === 'In' ? 'in' : 'notin'} (${Array.isArray(values) ? values.join(',') : ''})`;
}
