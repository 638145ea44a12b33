import { expect, test } from 'vitest';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { compiledModule, NO_FACTS, nic } from '../../test/harness/module-factory.ts';
import { expandGraph } from './expand.ts';
import { EMPTY_CATALOG } from './facts.ts';
import {
  lacksInternet,
  type NetworkOffer,
  type NetworkOffers,
  wishesInternet,
  withoutInternet,
} from './network-offers.ts';

const OPEN: NetworkOffer = { kind: 'kube-ovn', hasEgress: true };
const CLOSED: NetworkOffer = { kind: 'kube-ovn', hasEgress: false };
const POD: NetworkOffer = { kind: 'pod', hasEgress: true };

const lab = (internet: 'never' | 'always', more: object = {}) => ({
  vpcs: [{ name: 'lab', internet }],
  subnets: [{ name: 'net', vpc: 'lab', cidr: '10.9.0.0/24', dhcp: true, dns: [], unmanaged: false, ...more }],
});
const onNet = (more: Parameters<typeof nic>[0] = {}) => nic({ name: 'a', subnet: 'net', ...more });
const AUTOMATIC = compiledModule();
const OUTWARD = compiledModule({ network: lab('always'), vms: [{ nics: [onNet()] }] });

function expand(module: CompiledModule, networks: NetworkOffers) {
  return expandGraph({
    ...{ modules: [module], facts: NO_FACTS, catalog: EMPTY_CATALOG, fingerprint: String },
    options: { networks },
  });
}

function specOf(module: CompiledModule) {
  const spec = expand(module, {}).layers[module.name]?.spec;
  if (!spec) throw new Error('A module without parents has a specification.');
  return spec;
}

test('refuses at once what asks for internet where no cluster has a way out', () => {
  const refused = {
    code: 'NetworkNotOffered',
    details: { problems: [expect.objectContaining({ ...OUTWARD.origin, severity: 'error' })] },
    message: expect.stringContaining('"x" has no externalSubnet, and the VPC "lab" asks for internet'),
  };
  expect(() => expand(OUTWARD, { x: CLOSED })).toThrow(expect.objectContaining(refused));
  expect(expand(OUTWARD, { x: CLOSED, y: OPEN }).plan.warnings).toEqual([]);
  // It may have features that are not known yet.
  expect(expand(OUTWARD, { x: CLOSED, y: null }).plan.warnings).toEqual([]);
});

test('gives up internet access that was not asked for, and nothing else', () => {
  const spec = specOf(AUTOMATIC);
  expect(expand(AUTOMATIC, { x: CLOSED }).layers['base']?.layerKey).toBe(spec.layerKey);
  expect([lacksInternet(spec, CLOSED), lacksInternet(spec, OPEN), wishesInternet(specOf(OUTWARD))]).toEqual([
    true,
    false,
    false,
  ]);
  const closed = withoutInternet(spec);
  expect(closed.network.vpcs).toEqual([{ name: 'default', internet: false }]);
  expect(closed.network.subnets).toEqual(spec.network.subnets.map((subnet) => ({ ...subnet, egress: null })));
  expect(withoutInternet(specOf(OUTWARD))).toEqual(specOf(OUTWARD));
});

test('takes internet for asked for where an override turns it on', () => {
  const buildOverrides = { vpcs: [{ name: 'default', internet: true }], subnets: [], vms: [] };
  expect(() => expand(compiledModule({ buildOverrides }), { x: CLOSED })).toThrow(
    'the VPC "default" asks for internet',
  );
});

test.each<[string, Parameters<typeof compiledModule>[0], string]>([
  ['two cards', { vms: [{ nics: [onNet(), onNet({ name: 'b' })] }] }, 'the VM "main" has 2 network cards'],
  ['an address', { vms: [{ nics: [onNet({ ip: '10.9.0.9' })] }] }, 'the VM "main" asks for the address 10.9.0.9'],
  ['a bare segment', { network: lab('never', { unmanaged: true }), vms: [{ nics: [onNet()] }] }, '"net" is unmanaged'],
  ['no DHCP', { network: lab('never', { dhcp: false }), vms: [{ nics: [onNet()] }] }, '"net" has no DHCP'],
  [
    'two VPCs',
    {
      network: {
        vpcs: ['lab', 'dmz'].map((name) => ({ name, internet: 'never' as const })),
        subnets: [...lab('never').subnets, ...lab('never', { name: 'far', vpc: 'dmz' }).subnets],
      },
      vms: [
        { name: 'a', nics: [onNet()] },
        { name: 'b', nics: [nic({ name: 'b', subnet: 'far' })] },
      ],
    },
    'its VMs are in 2 VPCs (lab, dmz)',
  ],
  [
    'an address while building only',
    {
      vms: [{ nics: [onNet()] }],
      buildOverrides: {
        ...{ vpcs: [], subnets: [] },
        vms: [{ name: 'main', resources: null, nics: [onNet({ ip: '10.9.0.7' })] }],
      },
    },
    'asks for the address 10.9.0.7',
  ],
])('refuses %s on the pod network, and takes it to KubeOVN', (_what, given, reason) => {
  const module = compiledModule({ network: lab('never'), ...given });
  expect(() => expand(module, { p: POD })).toThrow(`"p" has the pod network only, and`);
  expect(() => expand(module, { p: POD })).toThrow(reason);
  expect(expand(module, { p: POD, k: CLOSED }).plan.modules).toHaveLength(1);
});

test('plans a module that asks for nothing special under one key for either kind', () => {
  const modules = [AUTOMATIC, OUTWARD, compiledModule({ network: lab('never'), vms: [{ nics: [onNet()] }] })];
  for (const module of modules) {
    const keys = [POD, OPEN].map((offer) => expand(module, { x: offer }).plan.modules[0]?.layerKey);
    expect(keys[0]).toBe(keys[1]);
  }
});
