import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Laboratory } from '../conformance/machines/laboratory.ts';
import { dataVolume } from '../conformance/machines/manifests.ts';
import { type ImageRegistry, startImageRegistry } from '../harness/image-registry.ts';

/*
 * The attacker writes the source of a module. The prize is `internal`: a service of the host that only the host may ask. The
 * attacker's own server, and a registry, are in the list of the cluster (by their ports), as a mirror in a laboratory is.
 */
const asked: string[] = [];
const servers: Server[] = [];
let internal: URL;
let attacker: URL;
let registry: ImageRegistry;
let laboratory: Laboratory;
let count = 0;

beforeAll(async () => {
  internal = await serve((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end('the keys of the kingdom'.padEnd(4096));
  });
  attacker = await serve((request, response) => {
    const { url = '' } = request;
    if (url === '/v2/evil/image/manifests/1') {
      response.setHeader('www-authenticate', `Bearer realm="${internal.origin}/token"`).writeHead(401).end();
    } else if (url.startsWith('/v2/kept/image/manifests/')) {
      response.writeHead(307, { location: `http://${registry.host}${url}` }).end();
    } else response.writeHead(302, { location: new URL(url, internal).href }).end();
  });
  registry = await startImageRegistry();
  const networks = ['169.254.0.0/16', 'fe80::/10', '64:ff9b::/96'];
  const allowedAddresses = [`127.0.0.1:${attacker.port}`, registry.host, ...networks];
  laboratory = await Laboratory.open({ config: { fetch: { allowedAddresses } } });
});

afterAll(async () => {
  await laboratory?.close();
  await registry?.stop();
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** What the attacker reads of an import that failed. */
async function attempt(source: object): Promise<string> {
  const name = `attempt-${++count}`;
  await laboratory.create('DataVolume', dataVolume(name, source, '16Mi'));
  const failed = await laboratory.untilImportFails(name);
  await laboratory.delete('DataVolume', name);
  return failed.status?.conditions?.find(({ type }) => type === 'Running')?.message ?? '';
}

const notPublic = 'is not a public address: name it in fetch.allowedAddresses';

test.for<[string, () => object]>([
  ['an address', () => ({ http: { url: `${internal.origin}/direct` } })],
  ['a name', () => ({ http: { url: `http://localhost:${internal.port}/name` } })],
  ['a mapped address', () => ({ http: { url: `http://[::ffff:127.0.0.1]:${internal.port}/mapped` } })],
  ['a number', () => ({ http: { url: `http://2130706433:${internal.port}/number` } })],
  ['a redirect', () => ({ http: { url: `${attacker.origin}/redirect` } })],
  ['a registry', () => ({ registry: { url: `docker://127.0.0.1:${internal.port}/evil/image:1` } })],
  ['where a registry sends for a token', () => ({ registry: { url: `docker://${attacker.host}/evil/image:1` } })],
])('an image at a service of the host, by %s: it is never asked', async ([_how, source], { annotate }) => {
  const message = await attempt(source());
  expect(message).toContain(notPublic);
  expect(asked).toEqual([]);
  await annotate(message);
});

test('a layer that a registry keeps at a service of the host is never asked for', async () => {
  await registry.push('kept/image:1', { layers: [{ files: { 'disk/a': Buffer.alloc(512) } }] });
  expect(await attempt({ registry: { url: `docker://${attacker.host}/kept/image:1` } })).toContain(notPublic);
  expect(registry.requests).toContain('GET /v2/kept/image/manifests/1');
  expect(asked).toEqual([]);
});

test.each(['http://169.254.169.254/latest/meta-data/', 'http://[fe80::1]/', 'http://[64:ff9b::a9fe:a9fe]/'])(
  'the metadata service of a cloud at %s: it is never reached, even if the list names it',
  async (url) => {
    expect(await attempt({ http: { url } })).toContain('is a link-local or metadata address, which may not be reached');
  },
);
