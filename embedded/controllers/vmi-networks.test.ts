import { expect, test } from 'vitest';
import type { Vmi } from './kubevirt-types.ts';
import { resolverOf } from './vmi-networks.ts';

const resolver = (spec: Partial<Vmi['spec']>) => resolverOf({ spec } as Vmi);

test('virt-launcher gives a guest the resolver of its pod, and a domain always', () => {
  const own = { nameservers: ['10.9.0.254'], searches: ['lab.internal'] };
  const ofPod = { nameServers: ['10.9.0.254'], searches: ['lab.internal'] };
  expect(resolver({ dnsPolicy: 'None', dnsConfig: own })).toEqual(ofPod);
  const { searches: _, ...without } = own;
  expect(resolver({ dnsPolicy: 'None', dnsConfig: without })).toEqual({ ...ofPod, searches: ['cluster.local'] });
  expect(resolver({})).toEqual({ nameServers: [], searches: ['cluster.local'] });
});
