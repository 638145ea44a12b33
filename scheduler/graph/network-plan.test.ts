import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NicPlan } from '../../common/contracts/layers.ts';
import type { CompiledModule, Nic } from '../../common/contracts/module/compiled.ts';
import type { Subnet } from '../../common/contracts/module/module-network.ts';
import { firstHost, lastHost, parseIpv4, parseIpv4Network } from '../../common/text/ipv4.ts';
import { compiledModule, nic, shell } from '../../test/harness/module-factory.ts';
import { planNetwork } from './network-plan.ts';

const NO_OVERRIDES = { vpcs: [], subnets: [], vms: [] };

function subnet(name: string, cidr: string, given: Partial<Subnet> = {}): Subnet {
  return { name, vpc: 'lab', cidr, dhcp: true, dns: [], unmanaged: false, ...given };
}

function lab(
  subnets: readonly Subnet[],
  nics: readonly Partial<Nic>[],
  given: Parameters<typeof compiledModule>[0] = {},
) {
  const vpcs = [...new Set(subnets.map(({ vpc }) => vpc))].map((name) => ({ name, internet: 'never' as const }));
  const cards = nics.map((card, index) => nic({ name: `n${index}`, ...card }));
  return compiledModule({ network: { vpcs, subnets }, vms: [{ name: 'vm', nics: cards }], ...given });
}

function plan(module: CompiledModule, key = 'key') {
  const { network, vms, problems } = planNetwork(module, key);
  return { network, nics: vms.get('vm')?.nics ?? [], templateNics: vms.get('vm')?.templateNics ?? [], problems };
}

function ips(nics: readonly NicPlan[]) {
  return nics.map((card) => card.ip);
}

describe('addresses', () => {
  test('the router has the first host, the relay the last, VMs what lies between or what they were given', () => {
    const { network, nics, problems } = plan(
      lab([subnet('a', '10.7.0.0/29')], [{ subnet: 'a' }, { subnet: 'a', ip: '10.7.0.2' }, { subnet: 'a' }]),
    );
    expect(network.subnets).toEqual([
      { ...subnet('a', '10.7.0.0/29'), gateway: '10.7.0.1', relay: '10.7.0.6', egress: null },
    ]);
    expect(ips(nics)).toEqual(['10.7.0.3', '10.7.0.2', '10.7.0.4']);
    expect(problems).toEqual([]);
  });

  test('each VPC has one relay, on its first managed subnet', () => {
    const { network } = plan(
      lab(
        [
          subnet('wire', '10.1.0.0/24', { unmanaged: true }),
          subnet('a', '10.2.0.0/24'),
          subnet('b', '10.3.0.0/24'),
          subnet('c', '10.2.0.0/24', { vpc: 'other' }),
        ],
        [{ subnet: 'a', ip: '10.2.0.254' }],
      ),
    );
    expect(network.subnets.map(({ name, relay }) => [name, relay])).toEqual([
      ['wire', null],
      ['a', '10.2.0.253'],
      ['b', null],
      ['c', '10.2.0.254'],
    ]);
  });

  test('the egress gateway of a VPC with internet is beside its relay, and its address is reserved', () => {
    const open = lab([subnet('a', '10.7.0.0/29'), subnet('b', '10.8.0.0/24')], [{ subnet: 'a' }, { subnet: 'a' }], {
      network: {
        vpcs: [{ name: 'lab', internet: 'build' }],
        subnets: [subnet('a', '10.7.0.0/29'), subnet('b', '10.8.0.0/24')],
      },
    });
    const { network, nics, problems } = plan(open);
    expect(network.subnets.map(({ relay, egress }) => [relay, egress])).toEqual([
      ['10.7.0.6', '10.7.0.5'],
      [null, null],
    ]);
    expect(ips(nics)).toEqual(['10.7.0.2', '10.7.0.3']);
    expect(problems).toEqual([]);
    const full = plan(
      lab([], [{ subnet: 'a', ip: '10.7.0.2' }], {
        network: {
          vpcs: [{ name: 'lab', internet: 'build' }],
          subnets: [subnet('a', '10.7.0.0/30')],
        },
      }),
    );
    expect(full.problems.map(({ code }) => code)).toEqual(['SubnetFull', 'SubnetFull']);
  });

  test('an unmanaged subnet keeps its first host for the guest that is its gateway', () => {
    const { network, nics } = plan(
      lab([subnet('w', '10.7.0.0/28', { unmanaged: true })], [{ subnet: 'w' }, { subnet: 'w', ip: '10.7.0.1' }]),
    );
    expect(network.subnets[0]?.gateway).toBe('10.7.0.13');
    expect(ips(nics)).toEqual([null, '10.7.0.1']);
  });

  test('so it does while an override has it managed for the build, and the template gets no address', () => {
    const module = lab(
      [subnet('w', '10.7.0.0/28', { unmanaged: true })],
      [{ subnet: 'w' }, { subnet: 'w', ip: '10.7.0.1' }],
      {
        buildOverrides: { ...NO_OVERRIDES, subnets: [{ name: 'w', unmanaged: false }] },
      },
    );
    const { network, nics, templateNics, problems } = plan(module);
    expect(network.subnets).toMatchObject([{ unmanaged: false, gateway: '10.7.0.13', relay: '10.7.0.14' }]);
    expect(ips(nics)).toEqual(['10.7.0.2', '10.7.0.1']);
    expect(ips(templateNics)).toEqual([null, '10.7.0.1']);
    expect(templateNics.map(({ mac }) => mac)).toEqual(nics.map(({ mac }) => mac));
    expect(problems).toEqual([]);
  });

  test('a NIC that stays where it is under an override keeps its addresses in the template', () => {
    const module = lab([subnet('a', '10.7.0.0/24'), subnet('b', '10.8.0.0/24')], [{ subnet: 'b' }, { subnet: 'a' }], {
      buildOverrides: {
        ...NO_OVERRIDES,
        vms: [
          { name: 'vm', resources: null, nics: [nic({ name: 'up', subnet: 'a' }), nic({ name: 'n1', subnet: 'a' })] },
        ],
      },
    });
    const { nics, templateNics } = plan(module);
    expect(ips(nics)).toEqual(['10.7.0.2', '10.7.0.3']);
    expect(ips(templateNics)).toEqual(['10.8.0.2', '10.7.0.3']);
    expect(templateNics[1]).toEqual(nics[1]);
  });

  test('of any module are hosts of their subnets, each once', () => {
    const card = fc.record({ subnet: fc.constantFrom('a', 'b'), host: fc.option(fc.integer({ min: 2, max: 14 })) });
    // Twelve hosts are left in a /28 beside router and relay, so that these always fit.
    const cards = fc.array(card, { maxLength: 12 }).map(givenOnce);
    fc.assert(
      fc.property(cards, fc.string(), (nics, key) => {
        const module = lab([subnet('a', '10.7.0.0/28'), subnet('b', '10.8.0.0/28', { vpc: 'other' })], nics);
        const planned = plan(module, key);
        expect(planned).toEqual({ ...plan(module, key), templateNics: planned.nics, problems: [] });
        expect(new Set(planned.nics.map(({ mac }) => mac)).size).toBe(nics.length);
        const routersAndRelays = planned.network.subnets.flatMap(({ gateway, relay }) => [gateway, relay]);
        const all = [...ips(planned.nics), ...routersAndRelays];
        expect(all.filter((ip) => !isHost(ip, ['10.7.0.0/28', '10.8.0.0/28']))).toEqual([]);
        expect(new Set(all).size).toBe(all.length);
        for (const { ip, subnet: name } of planned.nics) {
          expect(isHost(ip, [name === 'a' ? '10.7.0.0/28' : '10.8.0.0/28'])).toBe(true);
        }
      }),
    );
  });
});

/** Gives an address to the first NIC only that asks for it. */
function givenOnce(cards: readonly { readonly subnet: string; readonly host: number | null }[]): Partial<Nic>[] {
  const seen = new Set<string>();
  return cards.map(({ subnet: name, host }) => {
    const ip = host === null ? null : `10.${name === 'a' ? 7 : 8}.0.${host}`;
    const isFirst = ip !== null && !seen.has(ip);
    if (isFirst) seen.add(ip);
    return { subnet: name, ip: isFirst ? ip : null };
  });
}

function isHost(ip: string | null, cidrs: readonly string[]): boolean {
  const address = parseIpv4(ip);
  return cidrs.some((cidr) => {
    const network = parseIpv4Network(cidr);
    if (address === undefined || network === undefined) return false;
    return address >= firstHost(network) && address <= lastHost(network);
  });
}

describe('MAC addresses', () => {
  test('are local unicast ones that follow from the layerKey, unless given', () => {
    const module = lab([subnet('a', '10.7.0.0/24')], [{ subnet: 'a' }, { subnet: 'a', mac: '52:54:00:00:00:01' }]);
    const [made, given] = plan(module).nics;
    expect(made?.mac).toMatch(/^02(:[0-9a-f]{2}){5}$/);
    expect(given?.mac).toBe('52:54:00:00:00:01');
    expect(plan(module).nics).toEqual(plan(module).nics);
    expect(plan(module, 'other').nics[0]?.mac).not.toBe(made?.mac);
    const taken = lab([subnet('a', '10.7.0.0/24')], [{ subnet: 'a' }, { subnet: 'a', mac: made?.mac ?? null }]);
    expect(new Set(plan(taken).nics.map(({ mac }) => mac)).size).toBe(2);
  });
});

test.each([
  { what: 'an address twice', nics: [{ ip: '10.7.0.9' }, { ip: '10.7.0.9' }], code: 'DuplicateAddress' },
  { what: 'a MAC twice', nics: [{ mac: '02:00:00:00:00:01' }, { mac: '02:00:00:00:00:01' }], code: 'DuplicateAddress' },
  { what: "the router's address", nics: [{ ip: '10.7.0.1' }], code: 'AddressTaken' },
  { what: 'an address of another network', nics: [{ ip: '10.8.0.9' }], code: 'AddressOutsideSubnet' },
  { what: 'the broadcast address', nics: [{ ip: '10.7.0.15' }], code: 'AddressOutsideSubnet' },
  { what: 'more NICs than addresses', nics: Array.from({ length: 13 }, () => ({})), code: 'SubnetFull' },
  { what: 'a subnet that is not there', nics: [{ subnet: 'z' }], code: 'AddressOutsideSubnet' },
])('$what is found', ({ nics, code }) => {
  const cards = nics.map((card) => ({ subnet: 'a', ...card }));
  expect(plan(lab([subnet('a', '10.7.0.0/28')], cards)).problems.map((problem) => problem.code)).toEqual([code]);
});

test('a VM with steps needs a NIC by which the relay reaches it while building', () => {
  const wire = subnet('w', '10.7.0.0/28', { unmanaged: true });
  const vms = [{ name: 'vm', nics: [nic({ subnet: 'w' })], steps: [shell('true')] }];
  expect(plan(lab([wire], [], { vms })).problems.map(({ code }) => code)).toEqual(['NoManagedNic']);
  const buildOverrides = { ...NO_OVERRIDES, subnets: [{ name: 'w', unmanaged: false }] };
  expect(plan(lab([wire], [], { vms, buildOverrides })).problems).toEqual([]);
});

test('internet is what holds while building', () => {
  const vpcs = (['never', 'build', 'always'] as const).map((internet) => ({ name: internet, internet }));
  const network = { vpcs, subnets: [] };
  const internet = (given: Partial<CompiledModule>) =>
    plan(compiledModule({ network, vms: [{ nics: [] }], ...given })).network.vpcs.map((vpc) => vpc.internet);
  expect(internet({})).toEqual([false, true, true]);
  const overridden = {
    ...NO_OVERRIDES,
    vpcs: [
      { name: 'never', internet: true },
      { name: 'always', internet: false },
    ],
  };
  expect(internet({ buildOverrides: overridden })).toEqual([true, true, false]);
});
