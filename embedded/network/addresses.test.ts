import { expect, test } from 'vitest';
import { capacityOf, firstAddress, isWithin, netmaskOf, networkOfCidrBlock, nextFreeAddress } from './addresses.ts';

test('reads a network by any of its addresses, the IPv4 one of two', () => {
  const cidr = networkOfCidrBlock('fd00::/64,10.1.2.77/24');
  expect(cidr).toEqual({ base: 0x0a010200, prefix: 24 });
  expect([firstAddress(cidr), netmaskOf(cidr)]).toEqual(['10.1.2.1', '255.255.255.0']);
  expect([isWithin(cidr, '10.1.2.255'), isWithin(cidr, '10.1.3.0'), isWithin(cidr, 'x')]).toEqual([true, false, false]);
});

test.each(['', '10.0.0.0', '10.0.0.0/31', '10.0.0.256/24', 'fd00::/64'])('refuses "%s"', (text) => {
  expect(() => networkOfCidrBlock(text)).toThrow('is not an IPv4 network');
});

test('gives the lowest address that is neither excluded nor used, and none beyond the last', () => {
  const cidr = networkOfCidrBlock('10.0.0.0/29');
  const excluded = ['10.0.0.1', '10.0.0.3..10.0.0.4'];
  expect(capacityOf(cidr, excluded)).toBe(3);
  const used = new Set<string>();
  const given: (string | undefined)[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const address = nextFreeAddress({ cidr, excluded, used });
    given.push(address);
    if (address) used.add(address);
  }
  expect(given).toEqual(['10.0.0.2', '10.0.0.5', '10.0.0.6', undefined]);
});
