import { expect, test } from 'vitest';
import { listenAddress, listenUrl, parseListen } from './listen-address.ts';

test.each([
  ['10.1.2.3', { host: '10.1.2.3', port: 8443 }],
  ['0.0.0.0:9443', { host: '0.0.0.0', port: 9443 }],
  ['farm.lan:443', { host: 'farm.lan', port: 443 }],
  ['::', { host: '::', port: 8443 }],
  ['[fd00::1]:443', { host: 'fd00::1', port: 443 }],
  ['10.1.2.3:70000', undefined],
  ['10.1.2.3:0', undefined],
  ['https://farm.lan', undefined],
  ['', undefined],
])('listens at %j', (text, expected) => {
  expect(parseListen(text)).toEqual(expected);
});

test('links to an address of either kind', () => {
  expect(listenUrl({ host: 'farm.lan', port: 443 })).toBe('https://farm.lan:443');
  expect(listenUrl({ host: 'fd00::1', port: 8443 })).toBe('https://[fd00::1]:8443');
});

test('serves others with TLS only', () => {
  const listen = { host: '0.0.0.0', port: 8443 };
  expect(listenAddress({})).toBeUndefined();
  expect(listenAddress({ listen, tlsCert: '/c.pem', tlsKey: '/k.pem' })).toEqual({
    ...{ host: '0.0.0.0', port: 8443, certificateFile: '/c.pem', keyFile: '/k.pem' },
  });
  for (const flags of [{ listen }, { listen, tlsCert: '/c.pem' }, { tlsCert: '/c.pem', tlsKey: '/k.pem' }]) {
    expect(() => listenAddress(flags)).toThrow('--listen, --tls-cert and --tls-key must be given together');
  }
});
