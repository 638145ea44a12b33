import { isIP, isIPv4, isIPv6 } from 'node:net';
import { choice, flag, leaf, text, wholeNumber } from '../module/leaves.ts';
import { type Parsed, quoted } from '../module/parsed.ts';
import { anything, dictionary, list, map } from '../module/shapes.ts';

/**
 * The two forms of cloud-init's network configuration, as far as a wrong value makes cloud-init or netplan refuse it.
 * Sources: cloud-init's schema of version 1 and its network_state.py, netplan's reference for version 2.
 */

function address(description: string, version?: 4 | 6) {
  const fits = version === 4 ? isIPv4 : version === 6 ? isIPv6 : (value: string) => isIP(value) !== 0;
  return leaf({ type: 'string', description }, (written): Parsed<string> => {
    if (typeof written === 'string' && fits(written)) return { value: written };
    return { complaint: `${quoted(written)} is not an IP${version === undefined ? '' : `v${version}`} address` };
  });
}

/** An address with the length of its prefix; `optional` where a netmask may replace it, which cloud-init accepts. */
function prefixed(description: string, prefix: 'needed' | 'optional') {
  return leaf({ type: 'string', description }, (written): Parsed<string> => {
    const [ip = '', length, ...rest] = String(written).split('/');
    const version = isIP(ip);
    if (version === 0 || rest.length > 0)
      return { complaint: `${quoted(written)} is not an IP address with a prefix such as 10.0.2.5/24` };
    if (length === undefined) {
      if (prefix === 'optional') return { value: ip };
      return {
        complaint: `${quoted(written)} lacks the length of its prefix: write "${ip}/${version === 4 ? 24 : 64}" or another`,
      };
    }
    const isMask = isIP(length) === version;
    const isLength = /^\d{1,3}$/.test(length) && Number(length) <= (version === 4 ? 32 : 128);
    if (isMask || isLength) return { value: String(written) };
    return { complaint: `${quoted(written)}: "${length}" is not the length of a prefix of IPv${version}` };
  });
}

/** The guest compares it with the form of the kernel, so dashes never match. */
function colonMac(description: string) {
  return leaf({ type: 'string', description }, (written): Parsed<string> => {
    const text = String(written);
    if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5,19}$/i.test(text)) return { value: text };
    return { complaint: `${quoted(written)} is not a MAC address: write one such as "02:00:00:12:34:56" in quotes` };
  });
}

/** Where a route goes. */
const destination = leaf({ type: 'string', description: 'A network, or default.' }, (written): Parsed<string> => {
  const [ip = '', length] = String(written).split('/');
  const isNetwork = isIP(ip) !== 0 && (length === undefined || /^\d{1,3}$/.test(length) || isIP(length) !== 0);
  if (written === 'default' || isNetwork) return { value: String(written) };
  return { complaint: `${quoted(written)} is not a network: write one such as 10.0.0.0/8, or default` };
});

/** An item that other tools also write as a map of its properties. */
const netplanAddress = leaf({ description: 'An address with its prefix.' }, (written): Parsed<unknown> => {
  const [name] = typeof written === 'object' && written !== null ? Object.keys(written) : [written];
  const found = prefixed('', 'needed').safeParse(name);
  return found.success ? { value: written } : { complaint: found.error.issues[0]?.message ?? '' };
});

const ANY_NAME = { names: /^/, meaning: 'any name' };
const names = list('Names of devices.', text('A name.'));
const nameservers = map('Resolvers.', {
  search: list('Domains to search.', text('A domain.')).optional(),
  addresses: list('Their addresses.', address('An address.')).optional(),
});
const anyKeys = (...keys: string[]) => Object.fromEntries(keys.map((key) => [key, anything('').optional()]));

const device = {
  match: map('Which cards are meant.', {
    name: anything('').optional(),
    macaddress: colonMac('Its hardware address.').optional(),
    driver: anything('').optional(),
  }).optional(),
  'set-name': text('What it is renamed to.').optional(),
  dhcp4: flag('Whether it asks for an IPv4 address.', false).optional(),
  dhcp6: flag('Whether it asks for an IPv6 address.', false).optional(),
  addresses: list('Fixed addresses.', netplanAddress).optional(),
  gateway4: address('The default route.', 4).optional(),
  gateway6: address('The default route.', 6).optional(),
  nameservers: nameservers.optional(),
  macaddress: colonMac('The hardware address that it gets.').optional(),
  mtu: wholeNumber('Bytes.', { min: 68, max: 65_536 }).optional(),
  routes: list(
    'Routes.',
    map('A route.', {
      to: destination.optional(),
      via: address('Over which router.').optional(),
      ...anyKeys('from', 'metric', 'type', 'scope', 'table', 'on-link', 'mtu', 'congestion-window'),
      ...anyKeys('advertised-receive-window', 'advertised-mss'),
    }),
  ).optional(),
  ...anyKeys('renderer', 'wakeonlan', 'dhcp4-overrides', 'dhcp6-overrides', 'dhcp-identifier', 'optional'),
  ...anyKeys('optional-addresses', 'routing-policy', 'accept-ra', 'link-local', 'critical', 'ipv6-privacy', 'ipv6-mtu'),
  ...anyKeys('ipv6-address-generation', 'ipv6-address-token', 'ignore-carrier', 'activation-mode', 'neigh-suppress'),
  ...anyKeys('openvswitch', 'auth', 'emit-lldp', 'virtual-function-count', 'embedded-switch-mode', 'infiniband-mode'),
  ...anyKeys('receive-checksum-offload', 'transmit-checksum-offload', 'tcp-segmentation-offload'),
  ...anyKeys('tcp6-segmentation-offload', 'generic-segmentation-offload', 'generic-receive-offload'),
  ...anyKeys('large-receive-offload', 'networkmanager', 'delay-virtual-functions-rebind'),
};
const parameters = anything('Parameters of the kind.').optional();
const devices = (...more: Parameters<typeof map>[1][]) =>
  dictionary('Devices by name.', ANY_NAME, map('A device.', Object.assign({}, device, ...more))).optional();

export const NETWORK_V2 = map('Version 2.', {
  version: anything(''),
  renderer: anything('').optional(),
  ethernets: devices(),
  bonds: devices({ interfaces: names.optional(), parameters }),
  bridges: devices({ interfaces: names.optional(), parameters }),
  vlans: devices({ id: wholeNumber('Its number.', { min: 0, max: 4094 }), link: text('The device below.') }),
  vrfs: devices({ interfaces: names.optional(), table: anything('') }),
  ...anyKeys('wifis', 'modems', 'tunnels', 'dummy-devices', 'virtual-ethernets', 'nm-devices', 'openvswitch'),
});

const SUBNET_TYPES = [
  ...['dhcp', 'dhcp4', 'dhcp6', 'static', 'static6', 'manual', 'loopback', 'auto'],
  ...['ipv6_dhcpv6-stateful', 'ipv6_dhcpv6-stateless', 'ipv6_slaac'],
] as const;
const route = {
  gateway: address('The router.').optional(),
  netmask: anything('').optional(),
  ...anyKeys('network', 'destination', 'prefix', 'metric', 'id', 'type'),
};
const subnets = list(
  'How it gets addresses.',
  map('One way.', {
    type: choice('The way.', SUBNET_TYPES),
    address: prefixed('A fixed address.', 'optional').optional(),
    gateway: address('The default route.').optional(),
    dns_nameservers: anything('').optional(),
    routes: list('Routes.', map('A route.', route)).optional(),
    ...anyKeys(
      'netmask',
      'broadcast',
      'dns_search',
      'control',
      'metric',
      'scope',
      'pointopoint',
      'ipv4',
      'ipv6',
      'prefix',
    ),
  }),
).optional();
const named = {
  type: text('The kind.'),
  name: text('The name of the device.'),
  mac_address: colonMac('Its hardware address.').optional(),
  mtu: wholeNumber('Bytes.', { min: 68, max: 65_536 }).optional(),
  subnets,
  ...anyKeys('accept-ra', 'keep_configuration', 'wakeonlan', 'params'),
};

/** The items of version 1, by their type. */
export const NETWORK_V1_ITEMS = {
  physical: map('A card.', named),
  loopback: map('The loopback device.', named),
  infiniband: map('A card.', named),
  bond: map('A bond.', { ...named, bond_interfaces: names, params: anything('') }),
  bridge: map('A bridge.', { ...named, bridge_interfaces: names }),
  vlan: map('A VLAN.', {
    ...named,
    vlan_link: text('The device below.'),
    vlan_id: wholeNumber('Its number.', { min: 0, max: 4094 }),
  }),
  nameserver: map('Resolvers.', { type: text(''), address: anything('Addresses.'), ...anyKeys('search', 'interface') }),
  route: map('A route.', { type: text(''), ...route, destination }),
} as const;
