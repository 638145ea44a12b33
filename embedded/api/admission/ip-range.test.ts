import { expect, test } from 'vitest';
import { contains, formatAddress, parseIp, parseRange, rangesOverlap } from './ip-range.ts';

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['255.255.255.255', '255.255.255.255'],
  ['fd00:0:0::1', 'fd00::1'],
  ['::', '::'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
])('reads %s', (text, canonical) => {
  const address = parseIp(text);
  expect(address && formatAddress(address)).toBe(canonical);
});

test.each(['10.1.2', '10.1.2.256', 'fe80::1%eth0', '', 'x'])('does not read "%s"', (text) => {
  expect(parseIp(text)).toBeUndefined();
});

test.each(['10.0.0.0/33', '10.0.0.0', '10.0.0.0/', 'fd00::/129', '10.0.0.0/8/8'])('takes "%s" for no block', (text) => {
  expect(parseRange(text)).toBeUndefined();
});

test.each([
  ['10.0.0.0/16', '10.0.255.0/24', true],
  ['10.0.0.0/24', '10.0.1.0/24', false],
  ['10.0.0.9/24', '10.0.0.200/32', true],
  ['0.0.0.0/0', 'fd00::/8', false],
  ['fd00::/64', 'fd00::1:0/112', true],
])('%s and %s overlap: %s', (a, b, expected) => {
  const [left, right] = [parseRange(a), parseRange(b)];
  expect(left && right && rangesOverlap(left, right)).toBe(expected);
});

test('knows the bounds of a block', () => {
  const range = parseRange('192.168.1.64/26');
  const isIn = (text: string) => {
    const address = parseIp(text);
    return range && address && contains(range, address);
  };
  expect(['192.168.1.63', '192.168.1.64', '192.168.1.127', '192.168.1.128'].map(isIn)).toEqual([
    false,
    true,
    true,
    false,
  ]);
});
