import { describe, expect, it } from 'vitest';
import { formatIpv4, overlap } from '../../text/ipv4.ts';
import { parseCidr, routerAddress } from './addresses.ts';
import { parseChecksum } from './checksum.ts';
import { formatAge, parseAge, parseDuration } from './duration.ts';
import { parseBytes, parseCpu } from './sizes.ts';
import { didYouMean } from './suggest.ts';

describe('parseDuration', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['300ms', 300],
    ['0.1s', 100],
    ['1ns', 1],
    ['0.0000001ns', 1],
  ])('reads %s', (written, value) => {
    expect(parseDuration(written)).toEqual({ value });
  });

  it.each(['', '5', '-5s', '1h 30m', 'h', '1d', '99999999999999999h', true])('refuses %s', (written) => {
    expect(parseDuration(written)).toHaveProperty('complaint');
  });
});

describe('ages', () => {
  it.each([
    ['7d', 7 * 86_400_000, '7d'],
    ['2w', 14 * 86_400_000, '14d'],
    ['36h', 36 * 3_600_000, '36h'],
    ['1h30m', 5_400_000, '90m'],
    ['250ms', 250, '250ms'],
  ])('reads %s, and writes it in one unit', (written, value, formatted) => {
    expect(parseAge(written)).toEqual({ value });
    expect(formatAge(value)).toBe(formatted);
  });

  it.each(['0d', '1.5d', '-1d', '7d12h', '', 7, null])('refuses %s', (written) => {
    expect(parseAge(written)).toHaveProperty('complaint');
  });
});

describe('quantities', () => {
  it.each([
    ['4Gi', 4 * 2 ** 30],
    ['500M', 500e6],
    ['1.5Ki', 1536],
    ['1e3', 1000],
    [1024, 1024],
    ['0.1', 1],
  ])('read the size %s', (written, value) => {
    expect(parseBytes(written)).toEqual({ value });
  });

  it.each([
    ['500m', 0.5],
    ['0.1', 0.1],
    [2, 2],
    ['1', 1],
    ['100u', 0.001],
  ])('read the CPUs %s', (written, value) => {
    expect(parseCpu(written)).toEqual({ value });
  });

  it.each(['4GB', '4 Gi', 'Gi', '-1Gi', '9999999Ei', null, []])('refuse the size %s', (written) => {
    expect(parseBytes(written)).toHaveProperty('complaint');
  });
});

describe('networks', () => {
  it('name the router and the overlapping parts', () => {
    const network = { base: 0x0a4d0000, prefix: 24 };
    expect(parseCidr('10.77.0.0/24')).toEqual({ value: network });
    expect(formatIpv4(routerAddress(network, { unmanaged: false }))).toBe('10.77.0.1');
    expect(formatIpv4(routerAddress(network, { unmanaged: true }))).toBe('10.77.0.253');
    expect(overlap(network, { base: 0x0a4d0080, prefix: 25 })).toBe(true);
    expect(overlap(network, { base: 0x0a4d0100, prefix: 24 })).toBe(false);
    expect(parseCidr('255.255.255.0/24')).toEqual({ value: { base: 0xffffff00, prefix: 24 } });
  });

  it.each(['10.0.0.0', '10.0.0.0/33', '010.0.0.0/8', '10.0.0.256/32', 'fd00::/64', 7])('refuse %s', (written) => {
    expect(parseCidr(written)).toHaveProperty('complaint');
  });
});

it('finds the algorithm of a bare checksum by its length', () => {
  expect(parseChecksum('A'.repeat(64))).toEqual({ value: { algorithm: 'sha256', hex: 'a'.repeat(64) } });
  expect(parseChecksum(`sha512:${'b'.repeat(128)}`)).toEqual({ value: { algorithm: 'sha512', hex: 'b'.repeat(128) } });
  expect(parseChecksum(`sha512:${'b'.repeat(64)}`)).toHaveProperty('complaint');
});

it('suggests the nearest word, a swap of neighbours counted once, and lists few when none is near', () => {
  expect(didYouMean('bootComand', ['bootCommand', 'cloudInit'])).toBe('; did you mean "bootCommand"?');
  expect(didYouMean('szie', ['size', 'sizes'])).toBe('; did you mean "size"?');
  expect(didYouMean('xyzzy', ['name', 'size'])).toBe('; expected one of name, size');
});
