import { expect, test } from 'vitest';
import { createAddressGuard } from './address-guard.ts';
import { complaintAbout } from './allowed-addresses.ts';
import { addressKind } from './special-addresses.ts';

test.each([
  ...['127.0.0.1', '10.1.2.3', '100.64.0.1', '172.31.0.1', '192.168.0.1', '0.0.0.0', '255.255.255.255', '192.0.2.7'],
  ...['::', '::1', 'fd00::1', 'fec0::1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::', '::ffff:192.168.0.1'],
  ...['::ffff:7f00:1', '64:ff9b::a00:1', '64:ff9b:1::1', '::ffff:0:10.0.0.1'],
])('knows that %s is private', (address) => {
  expect(addressKind(address)).toBe('private');
});

test.each([
  ...['169.254.169.254', '169.254.0.1', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fe80::1'],
  ...['fd00:ec2::23', 'fd00:c1::a9fe:a9fe', 'fd00:42::42', 'fd00:a9fe:a9fe::1', 'fd00:100::100:200'],
  ...['fd00:ec2::254', 'fd20:ce::254', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::a9fe:a9fe'],
  ...['64:ff9b::169.254.169.254', '64:ff9b:1::a9fe:a9fe', '::ffff:0:169.254.169.254', '2002:a9fe:a9fe::1'],
])('knows that %s must never be reached', (address) => {
  expect(addressKind(address)).toBe('forbidden');
  const guard = createAddressGuard({ allowedAddresses: ['0.0.0.0/0', '::/0', address] });
  expect(() => guard.lookupFor(address, 80)).toThrow('is a link-local or metadata address');
});

test.each(['1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8', 'example.org'])(
  'knows that %s is public',
  (address) => expect(addressKind(address)).toBe('public'),
);

test.each([
  ['127.0.0.1', '127.0.0.1', 80],
  ['127.0.0.1:80', '127.0.0.1', 80],
  ['127.0.0.1', '[::ffff:127.0.0.1]', 80],
  ['10.0.0.0/8', '10.9.8.7', 5000],
  ['10.0.0.0/8:5000', '10.9.8.7', 5000],
  ['fd00::/8', '[fd00::7]', 80],
  ['[fd00::/8]:80', '[fd00::7]', 80],
])('%s lets %s through', (entry, host, port) => {
  expect(complaintAbout(entry)).toBeUndefined();
  expect(() => createAddressGuard({ allowedAddresses: [entry] }).lookupFor(host, port)).not.toThrow();
});

test.each([
  ['127.0.0.1:80', '127.0.0.1', 81],
  ['127.0.0.1', '127.0.0.2', 80],
  ['10.0.0.0/8:5000', '10.9.8.7', 5001],
  ['[fd00::/8]:80', '[fd00::7]', 443],
  ['localhost', '127.0.0.1', 80],
])('%s does not let %s:%i through', (entry, host, port) => {
  expect(() => createAddressGuard({ allowedAddresses: [entry] }).lookupFor(host, port)).toThrow(
    `${host.replace(/[[\]]/g, '')} is not a public address: name it in fetch.allowedAddresses`,
  );
});

const found = (allowedAddresses: readonly string[], port: number) =>
  new Promise((resolve) => {
    const lookup = createAddressGuard({ allowedAddresses }).lookupFor('localhost', port);
    lookup('localhost', {}, (error, address) => resolve(error?.message ?? address));
  });

test('judges a name by what it leads to, unless the name itself is allowed', async () => {
  expect(await found([], 80)).toMatch(/^localhost \((127\.0\.0\.1|::1)\) is not a public address/);
  expect(await found(['localhost:80'], 80)).toMatch(/^(127\.0\.0\.1|::1)$/);
  expect(await found(['LOCALHOST:80'], 81)).toMatch('is not a public address');
  expect(await found(['127.0.0.1', '::1'], 80)).toMatch(/^(127\.0\.0\.1|::1)$/);
});

test.each(['', '10.0.0.0/33', '10.0.0/8', '1.2.3.4:0', '1.2.3.4:99999', 'http://x', '[fd00::1', '10.0.0.0/8/8', '*.x'])(
  'refuses %j as an entry',
  (entry) => expect(complaintAbout(entry)).toMatch(/^".*" is not an address/),
);
