import { lan, type RefusalRow, testRefusals, top } from '../../../test/harness/refused-module.ts';

/** Networks. */
const rows: readonly RefusalRow[] = [
  {
    rule: 'no network',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0/24'),
    code: 'InvalidValue',
    part: 'IPv4',
  },
  {
    rule: 'an address for a network',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0.5/24'),
    code: 'InvalidValue',
    part: 'write "10.1.0.0/24"',
  },
  {
    rule: 'a tiny unmanaged subnet',
    yaml: lan('[{ name: n, subnet: lan }]', 'unmanaged: true, cidr: §10.1.0.0/30'),
    code: 'InvalidValue',
    part: '/29 or wider',
  },
  {
    rule: 'a crowded subnet',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0.0/30'),
    code: 'InvalidValue',
    part: 'has room for 0',
  },
  {
    rule: 'a name for a name server',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: 10.1.0.0/24, dns: §dns.example.org'),
    code: 'InvalidValue',
    part: 'commas',
  },
  {
    rule: 'an unknown VPC',
    yaml: top('network: { subnets: [{ name: s, vpc: §v, cidr: 10.1.0.0/24 }] }'),
    code: 'UnknownReference',
    part: 'VPC "v"',
  },
  {
    rule: 'overlapping subnets',
    yaml: top('network:', '  subnets: [{ name: s, cidr: 10.1.0.0/16 }, { name: t, cidr: §10.1.2.0/24 }]'),
    code: 'Conflict',
    part: 'overlaps with the subnet "s"',
  },
  { rule: 'an unknown subnet', yaml: lan('[{ name: n, subnet: §lam }]'), code: 'UnknownReference', part: '"lan"' },
  {
    rule: 'an address elsewhere',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.2.0.5 }]'),
    code: 'InvalidValue',
    part: 'outside',
  },
  {
    rule: "the gateway's address",
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.1 }]'),
    code: 'InvalidValue',
    part: 'gateway',
  },
  {
    rule: 'the broadcast address',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.255 }]'),
    code: 'InvalidValue',
    part: 'broadcast',
  },
  {
    rule: 'the address of an unmanaged subnet that the platform keeps',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.253 }]', 'unmanaged: true, cidr: 10.1.0.0/24'),
    code: 'InvalidValue',
    part: "platform's router",
  },
  {
    rule: 'an address given twice',
    yaml: lan('[{ name: n, subnet: lan, ip: 10.1.0.5 }, { name: o, subnet: lan, ip: §10.1.0.5 }]'),
    code: 'DuplicateName',
    part: '10.1.0.5',
  },
  { rule: 'a short MAC', yaml: lan('[{ name: n, subnet: lan, mac: §"02:00" }]'), code: 'InvalidValue', part: 'MAC' },
  {
    rule: 'a multicast MAC',
    yaml: lan('[{ name: n, subnet: lan, mac: §"01:00:00:00:00:01" }]'),
    code: 'InvalidValue',
    part: 'multicast',
  },
  {
    rule: 'a MAC given twice',
    yaml: lan(
      '[{ name: n, subnet: lan, mac: "02:00:00:00:00:0a" }, { name: o, subnet: lan, mac: §"02-00-00-00-00-0A" }]',
    ),
    code: 'DuplicateName',
    part: '02-00-00-00-00-0A',
  },
  {
    rule: 'a slot given twice',
    yaml: lan('[{ name: n, subnet: lan, slot: 1 }, { name: o, subnet: lan, slot: §1 }]'),
    code: 'DuplicateName',
    part: '"1"',
  },
  {
    rule: 'a slot out of range',
    yaml: lan('[{ name: n, subnet: lan, slot: §10 }]'),
    code: 'InvalidValue',
    part: '1 to 9',
  },
  {
    rule: 'a card that nothing gives an address',
    yaml: lan('[§{ name: n, subnet: lan }]', 'cidr: 10.1.0.0/24, dhcp: false'),
    code: 'Doubtful',
    part: 'has no DHCP',
    severity: 'warning',
  },
  {
    rule: 'no subnet for an automatic card',
    yaml: top('network: { subnets: [{ name: s, cidr: 10.1.0.0/24, dhcp: false }] }').replace('name: a', '§name: a'),
    code: 'MissingField',
    part: 'list its nics',
  },
  {
    rule: 'an override of no VPC',
    yaml: top('buildOverrides: { vpcs: [{ name: §v, internet: true }] }'),
    code: 'UnknownReference',
    part: 'VPC',
  },
  {
    rule: 'an override of no VM',
    yaml: top('buildOverrides: { vms: [{ name: §b }] }'),
    code: 'UnknownReference',
    part: 'VM "b"',
  },
  {
    rule: 'an override of a card on no subnet',
    yaml: top('buildOverrides: { vms: [{ name: a, nics: [{ name: n, subnet: §x }] }] }'),
    code: 'UnknownReference',
    part: 'subnet "x"',
  },
  ...(
    [
      ['127.0.0.0/24', 'loopback'],
      ['169.254.0.0/16', 'link-local'],
      ['224.0.0.0/24', 'multicast'],
      ['0.0.0.0/8', 'this host'],
      ['"fd00::/64"', 'is an IPv6 network'],
      ['10.1.0.0/255.255.255.0', 'write "10.1.0.0/24"'],
    ] as const
  ).map(([cidr, part]) => ({
    rule: `the network ${cidr}`,
    yaml: top('network:', '  vpcs: [{ name: v }]', `  subnets: [{ name: lan, vpc: v, cidr: §${cidr} }]`),
    code: 'InvalidValue' as const,
    part,
  })),
];

testRefusals(rows);
