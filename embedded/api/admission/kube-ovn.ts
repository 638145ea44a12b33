import { itemsOf, stringsOf } from '../json-lists.ts';
import { fieldAt, type JsonObject, type KubeObject } from '../objects.ts';
import type { Store } from '../store.ts';
import type { KindAdmission } from './admission.ts';
import { denied } from './causes.ts';
import { contains, formatAddress, type IpRange, parseIp, parseRange, rangesOverlap } from './ip-range.ts';

const WEBHOOK = 'kube-ovn-webhook';
const DEFAULT_VPC = 'ovn-cluster';

/** A VPC: no subnet of the same name, and routes that can be understood. */
export const vpcAdmission: KindAdmission = {
  validate: ({ object, operation, store }) => {
    if (operation === 'DELETE') return;
    if (store.get('Subnet', { name: object.metadata.name })) {
      throw denied(WEBHOOK, 'vpc and subnet cannot have the same name');
    }
    for (const route of itemsOf(object.spec, 'staticRoutes')) {
      const { policy, cidr, nextHopIP } = route;
      if (policy !== undefined && policy !== '' && policy !== 'policyDst' && policy !== 'policySrc') {
        throw denied(WEBHOOK, `unknown policy type: "${String(policy)}"`);
      }
      const target = String(cidr);
      if (!parseRange(target) && !parseIp(target)) throw denied(WEBHOOK, `invalid cidr "${target}"`);
      if (!parseIp(String(nextHopIP))) throw denied(WEBHOOK, `bad next hop ip: "${String(nextHopIP)}"`);
    }
  },
};

function rangesOf(spec: JsonObject): IpRange[] {
  return String(spec['cidrBlock'] ?? '')
    .split(',')
    .map((cidr) => {
      const range = parseRange(cidr.trim());
      if (!range) throw denied(WEBHOOK, `CIDRBlock: ${cidr} is invalid`);
      return range;
    });
}

function protocolOf(ranges: readonly IpRange[]): string {
  if (ranges.length > 1) return 'Dual';
  return ranges[0]?.bits === 128 ? 'IPv6' : 'IPv4';
}

/** A subnet: the defaults of KubeOVN, and the checks of its webhook. */
export const subnetAdmission: KindAdmission = {
  mutate: ({ object }) => {
    const spec = object.spec ?? {};
    if (spec['cidrBlock'] === undefined) return;
    const ranges = rangesOf(spec);
    const gateways = ranges.map((range) => formatAddress({ value: range.first + 1n, bits: range.bits }));
    const gateway = String(spec['gateway'] ?? '') || gateways.join(',');
    const excluded = stringsOf(spec, 'excludeIps');
    const missing = gateway.split(',').filter((address) => !excluded.some((entry) => covers(entry, address)));
    object.spec = {
      vpc: DEFAULT_VPC,
      provider: 'ovn',
      gatewayType: 'distributed',
      enableLb: true,
      ...withoutEmpty(spec),
      cidrBlock: ranges
        .map((range) => `${formatAddress({ value: range.first, bits: range.bits })}/${range.prefix}`)
        .join(','),
      protocol: protocolOf(ranges),
      gateway,
      excludeIps: [...excluded, ...missing],
    };
  },
  validate: ({ object, operation, store }) => {
    if (operation === 'DELETE') return assertUnused(object, store);
    const spec = object.spec ?? {};
    if (store.get('Vpc', { name: object.metadata.name }))
      throw denied(WEBHOOK, 'vpc and subnet cannot have the same name');
    if (spec['cidrBlock'] === undefined) throw denied(WEBHOOK, 'CIDRBlock: is required');
    const ranges = rangesOf(spec);
    assertGateway(spec, ranges);
    for (const entry of stringsOf(spec, 'excludeIps')) assertExcluded(entry);
    assertNoOverlap(object, ranges, store);
  },
};

function assertUnused({ metadata }: KubeObject, store: Store): void {
  const isUsed = store.list('IP').some(({ spec }) => spec?.['subnet'] === metadata.name);
  if (isUsed) throw denied(WEBHOOK, "can't delete subnet when any IPs in Using", 403);
}

function withoutEmpty(spec: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== ''));
}

function covers(entry: string, address: string): boolean {
  const [from = '', to = from] = entry.split('..');
  const [first, last, ip] = [from, to, address].map((text) => parseIp(text)?.value);
  return first !== undefined && last !== undefined && ip !== undefined && ip >= first && ip <= last;
}

function assertGateway(spec: JsonObject, ranges: readonly IpRange[]): void {
  for (const text of String(spec['gateway']).split(',')) {
    const address = parseIp(text);
    if (!address || !ranges.some((range) => contains(range, address))) {
      throw denied(WEBHOOK, `gateway ${text} is not in cidr ${String(spec['cidrBlock'])}`);
    }
  }
}

/** An excluded entry is an address, or two joined by `..` in rising order. */
function assertExcluded(entry: string): void {
  const [from = '', to = from, ...more] = entry.split('..');
  const [first, last] = [parseIp(from), parseIp(to)];
  if (!first || !last || more.length > 0 || first.value > last.value) {
    throw denied(WEBHOOK, `${entry} in excludeIps is not a valid address or range`);
  }
}

/** Blocks may repeat in different VPCs, never within one (or on one VLAN). */
function assertNoOverlap(object: KubeObject, ranges: readonly IpRange[], store: Store): void {
  const { vpc, vlan } = object.spec ?? {};
  for (const other of store.list('Subnet')) {
    const isSelf = other.metadata.name === object.metadata.name;
    const isBeside = fieldAt(other.spec, 'vpc') === vpc && fieldAt(other.spec, 'vlan') === vlan;
    if (isSelf || !isBeside) continue;
    const taken = rangesOf(other.spec ?? {});
    if (ranges.some((range) => taken.some((block) => rangesOverlap(range, block)))) {
      const { name } = other.metadata;
      throw denied(
        WEBHOOK,
        `subnet ${object.metadata.name} cidr ${String(object.spec?.['cidrBlock'])} is conflict with subnet ${name} cidr ${String(other.spec?.['cidrBlock'])}`,
      );
    }
  }
}

/** An egress gateway: an external subnet, and enough addresses for its replicas where any are given. */
export const egressGatewayAdmission: KindAdmission = {
  validate: ({ object, operation }) => {
    if (operation === 'DELETE') return;
    const spec = object.spec ?? {};
    if (!spec['externalSubnet']) throw denied(WEBHOOK, 'spec.externalSubnet is required');
    const replicas = Number(spec['replicas'] ?? 1);
    for (const field of ['internalIPs', 'externalIPs']) {
      const addresses = stringsOf(spec, field);
      const bad = addresses.flatMap((text) => text.split(',')).find((text) => !parseIp(text.trim()));
      if (bad !== undefined) throw denied(WEBHOOK, `spec.${field}: "${bad}" is not a valid IP address`);
      if (addresses.length > 0 && addresses.length < replicas) {
        throw denied(WEBHOOK, `the number of ${field} must be greater than or equal to replicas`);
      }
    }
    for (const policy of itemsOf(spec, 'policies')) {
      const bad = stringsOf(policy, 'ipBlocks').find((text) => !parseRange(text) && !parseIp(text));
      if (bad !== undefined) throw denied(WEBHOOK, `spec.policies: "${bad}" is not a valid IP block`);
    }
  },
};

/** A network attachment: its configuration is JSON in a string. */
export const networkAttachmentAdmission: KindAdmission = {
  validate: ({ object, operation }) => {
    const config = object.spec?.['config'];
    if (operation === 'DELETE' || config === undefined || config === '') return;
    let parsed: unknown;
    try {
      parsed = JSON.parse(String(config));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw denied('net-attach-def-admission-controller', `spec.config is not valid JSON: ${why}`);
    }
    const isTyped = typeof fieldAt(parsed, 'type') === 'string' || Array.isArray(fieldAt(parsed, 'plugins'));
    if (!isTyped) throw denied('net-attach-def-admission-controller', 'spec.config names neither a type nor plugins');
  },
};
