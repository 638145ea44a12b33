import { expect, test } from 'vitest';
import { parseStorageBytes, requireQuantity } from '../quantity.ts';
import { parseDhcpOptions } from './dhcp-options.ts';
import { translatePath } from './pod-spec.ts';

test('a storage size is whole sectors, and what is not a quantity is refused', () => {
  expect(parseStorageBytes('1001')).toBe(1024);
  expect(() => requireQuantity('ten')).toThrow('"ten" is not a quantity');
});

test('several name servers are in braces with semicolons', () => {
  expect(parseDhcpOptions('lease_time=60, router=10.0.0.9 ,dns_server={8.8.8.8;1.1.1.1}')).toEqual({
    leaseSeconds: 60,
    router: '10.0.0.9',
    nameServers: ['8.8.8.8', '1.1.1.1'],
  });
  expect(parseDhcpOptions('')).toEqual({ nameServers: [] });
});

test('a path below a mount point is translated, one that only begins alike is not', () => {
  const mounts = new Map([['/files', '/run/pod/volumes/files']]);
  expect(['/files', '/files/a/b', '/files-too', '--files'].map((text) => translatePath(text, mounts))).toEqual([
    '/run/pod/volumes/files',
    '/run/pod/volumes/files/a/b',
    '/files-too',
    '--files',
  ]);
});
