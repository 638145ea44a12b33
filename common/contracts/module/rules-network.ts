import { firstHost, formatIpv4, type Ipv4Network, lastHost, overlap, parseIpv4 } from '../../text/ipv4.ts';
import { parseCidr, readIpv4, routerAddress, specialUse } from './addresses.ts';
import type { Cursor } from './cursor.ts';
import { AUTOMATIC_NETWORK } from './defaults.ts';
import { valueOrNull } from './parsed.ts';
import { namesOf, type Report, type Rule, reportRepeated, reportUnknown } from './rule.ts';

interface KnownSubnet {
  readonly name: string;
  readonly vpc: string;
  readonly network: Ipv4Network;
  readonly unmanaged: boolean;
  readonly dhcp: boolean;
}

/** Names, addresses and places of networks and network cards. */
export const networkRules: Rule = (body, report) => {
  const vpcs = body.list('network', 'vpcs');
  const subnets = body.list('network', 'subnets');
  reportRepeated(vpcs, 'name', report);
  reportRepeated(subnets, 'name', report);
  const vpcNames = namesOf(vpcs).add(AUTOMATIC_NETWORK.name);
  for (const subnet of subnets) {
    reportUnknown(subnet.at('vpc'), { what: 'VPC', names: vpcNames }, report);
    checkSubnet(subnet, report);
  }
  const known = knownSubnets(body);
  reportOverlaps(subnets, known, report);
  const subnetNames = subnets.length > 0 ? namesOf(subnets) : new Set([AUTOMATIC_NETWORK.name]);
  const cards = body.list('vms').map((vm) => vm.list('nics'));
  for (const nics of cards) checkCards(nics, subnetNames, report);
  checkAddresses(cards.flat(), known, report);
  reportCrowded(subnets, cards.flat(), report);
  checkAutomaticCards(body, known, report);
  checkOverrides(body, { vpcNames, subnetNames }, report);
};

/** The smallest unmanaged subnet that still holds the guest's gateway, the platform's router and machines. */
const UNMANAGED_PREFIX = 29;

function longestPrefix(subnet: Cursor): number {
  return subnet.at('unmanaged').value === true ? UNMANAGED_PREFIX : 30;
}

function checkSubnet(subnet: Cursor, report: Report): void {
  const cidr = subnet.at('cidr');
  const network = valueOrNull(parseCidr(cidr.value));
  const longest = longestPrefix(subnet);
  const unmanaged = longest === UNMANAGED_PREFIX;
  if (network && network.prefix > longest) {
    report(
      cidr,
      'InvalidValue',
      `"${cidr.value}" is too small${unmanaged ? ' for an unmanaged subnet' : ''}: /${longest} or wider`,
    );
  }
  const use = network && specialUse(network);
  if (use) {
    report(
      cidr,
      'InvalidValue',
      `"${cidr.value}" has ${use}, which a network card cannot have: write one such as "10.0.2.0/24"`,
    );
  }
  for (const server of (subnet.at('dns').text ?? '').split(',').filter((part) => part.trim() !== '')) {
    const parsed = readIpv4(server.trim());
    if ('complaint' in parsed)
      report(subnet.at('dns'), 'InvalidValue', `${parsed.complaint}: separate servers by commas`);
  }
}

function knownSubnets(body: Cursor): KnownSubnet[] {
  const declared = body.list('network', 'subnets');
  if (declared.length === 0) {
    const network = valueOrNull(parseCidr(AUTOMATIC_NETWORK.cidr));
    return network
      ? [{ name: AUTOMATIC_NETWORK.name, vpc: AUTOMATIC_NETWORK.name, network, unmanaged: false, dhcp: true }]
      : [];
  }
  return declared.flatMap((subnet) => {
    const name = subnet.at('name').text;
    const network = valueOrNull(parseCidr(subnet.at('cidr').value));
    if (name === null || network === null) return [];
    const vpc = subnet.at('vpc').text ?? AUTOMATIC_NETWORK.name;
    return {
      name,
      vpc,
      network,
      unmanaged: subnet.at('unmanaged').value === true,
      dhcp: subnet.at('dhcp').value !== false,
    };
  });
}

/** Two overlap when the later one begins before the earlier ends; in the order of their first addresses that is seen. */
function reportOverlaps(subnets: readonly Cursor[], known: readonly KnownSubnet[], report: Report): void {
  const places = new Map(subnets.map((subnet) => [subnet.at('name').text, subnet.at('cidr')]));
  const order = new Map(known.map((subnet, index) => [subnet, index]));
  const lastOf = new Map<string, KnownSubnet>();
  for (const subnet of known.toSorted(
    (a, b) => a.network.base - b.network.base || a.network.prefix - b.network.prefix,
  )) {
    const before = lastOf.get(subnet.vpc);
    const overlaps = before && overlap(before.network, subnet.network);
    if (!overlaps) lastOf.set(subnet.vpc, subnet);
    if (!overlaps || before.name === subnet.name) continue;
    const isLater = (order.get(subnet) ?? 0) > (order.get(before) ?? 0);
    const [later, earlier] = isLater ? [subnet, before] : [before, subnet];
    const at = places.get(later.name);
    if (at) report(at, 'Conflict', `"${at.value}" overlaps with the subnet "${earlier.name}" of the same VPC`);
  }
}

function checkCards(nics: readonly Cursor[], subnetNames: ReadonlySet<string>, report: Report): void {
  reportRepeated(nics, 'name', report);
  reportRepeated(nics, 'slot', report);
  const tenth = nics[9];
  if (tenth) report(tenth, 'InvalidValue', `a VM has at most nine network cards, not ${nics.length}`);
  for (const nic of nics) reportUnknown(nic.at('subnet'), { what: 'subnet', names: subnetNames }, report);
}

/** Addresses of one list must lie in their subnets and differ. */
function checkAddresses(nics: readonly Cursor[], known: readonly KnownSubnet[], report: Report): void {
  reportRepeatedMacs(nics, report);
  const taken = new Set<string>();
  const byName = new Map(known.toReversed().map((subnet) => [subnet.name, subnet]));
  for (const nic of nics) {
    const subnet = byName.get(nic.at('subnet').text ?? '');
    const ip = nic.at('ip');
    if (!subnet) continue;
    if (!ip.isPresent && !subnet.dhcp && !subnet.unmanaged) {
      report(
        nic,
        'Doubtful',
        `this network card gets no address: the subnet "${subnet.name}" has no DHCP; set ip`,
        'warning',
      );
    }
    const address = parseIpv4(ip.value);
    if (address === undefined) continue;
    const complaint = misplaced(address, subnet);
    if (complaint) report(ip, 'InvalidValue', `"${ip.value}" ${complaint}`);
    const key = `${subnet.name} ${address}`;
    if (taken.has(key)) report(ip, 'DuplicateName', `"${ip.value}" is already used in the subnet "${subnet.name}"`);
    taken.add(key);
  }
}

function reportRepeatedMacs(nics: readonly Cursor[], report: Report): void {
  const seen = new Set<string>();
  for (const nic of nics) {
    const mac = nic.at('mac').text?.toLowerCase().replaceAll('-', ':');
    if (mac && seen.has(mac)) report(nic.at('mac'), 'DuplicateName', `"${nic.at('mac').text}" is already used`);
    if (mac) seen.add(mac);
  }
}

/** The router and the farm's relay need an address each. */
function reportCrowded(subnets: readonly Cursor[], nics: readonly Cursor[], report: Report): void {
  const counts = new Map<string | null, number>();
  for (const nic of nics) counts.set(nic.at('subnet').text, (counts.get(nic.at('subnet').text) ?? 0) + 1);
  for (const subnet of subnets) {
    const network = valueOrNull(parseCidr(subnet.at('cidr').value));
    if (!network || network.prefix > longestPrefix(subnet)) continue;
    const room = lastHost(network) - firstHost(network) + 1 - 2;
    const needed = counts.get(subnet.at('name').text) ?? 0;
    if (needed <= room) continue;
    const has = `has room for ${room} network cards besides its router and the relay`;
    report(subnet.at('cidr'), 'InvalidValue', `"${subnet.at('cidr').value}" ${has}, the VMs need ${needed}`);
  }
}

function misplaced(address: number, subnet: KnownSubnet): string | null {
  const { network, name, unmanaged } = subnet;
  const [first, last] = [firstHost(network), lastHost(network)];
  if (address < first - 1 || address > last + 1) {
    return `is outside the subnet "${name}" (${formatIpv4(first)} to ${formatIpv4(last)})`;
  }
  if (address < first) return `is the network address of the subnet "${name}"`;
  if (address > last) return `is the broadcast address of the subnet "${name}"`;
  if (address !== routerAddress(network, { unmanaged })) return null;
  return `is the address of the ${unmanaged ? "platform's router" : 'gateway'} in the subnet "${name}"`;
}

/** A VM without network cards gets one on the first declared subnet that hands out addresses. */
function checkAutomaticCards(body: Cursor, known: readonly KnownSubnet[], report: Report): void {
  if (known.some((subnet) => subnet.dhcp && !subnet.unmanaged) || body.list('network', 'subnets').length > known.length)
    return;
  for (const vm of body.list('vms')) {
    if (vm.list('nics').length > 0) continue;
    report(
      vm,
      'MissingField',
      'the VM lists no nics and no declared subnet has DHCP for an automatic one: list its nics',
    );
  }
}

function checkOverrides(
  body: Cursor,
  names: { vpcNames: ReadonlySet<string>; subnetNames: ReadonlySet<string> },
  report: Report,
): void {
  const overrides = body.at('buildOverrides');
  const kinds = [
    { key: 'vpcs', what: 'VPC', names: names.vpcNames },
    { key: 'subnets', what: 'subnet', names: names.subnetNames },
    { key: 'vms', what: 'VM', names: namesOf(body.list('vms')) },
  ];
  for (const kind of kinds) {
    const items = overrides.list(kind.key);
    reportRepeated(items, 'name', report);
    for (const item of items) reportUnknown(item.at('name'), kind, report);
  }
  const modes = new Map(overrides.list('subnets').map((item) => [item.at('name').text, item.at('unmanaged').value]));
  const building = knownSubnets(body).map((subnet) => {
    const override = modes.get(subnet.name);
    return typeof override === 'boolean' ? { ...subnet, unmanaged: override } : subnet;
  });
  const replaced = overrides.list('vms').map((vm) => vm.list('nics'));
  for (const nics of replaced) checkCards(nics, names.subnetNames, report);
  checkAddresses(replaced.flat(), building, report);
}
