import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import type { Agent } from 'undici';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Credentials } from '../../common/contracts/module/location.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { createGuardedAgent } from '../../common/fetch/guarded-agent.ts';
import { startImageRegistry } from '../../test/harness/image-registry.ts';
import { compiledModule, compiledVm, shell } from '../../test/harness/module-factory.ts';
import { unresolvedContents } from '../graph/facts.ts';
import { resolveFacts } from './resolve-facts.ts';

const open = createGuardedAgent({ allowedAddresses: ['127.0.0.1'] });
const guarded = createGuardedAgent({ allowedAddresses: [] });
let server: Server;
let url: string;
const asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/tagged') return void response.setHeader('etag', '"v1"').end('x');
    if (request.url === '/moved') return void response.writeHead(302, { location: '/tagged' }).end();
    if (request.url === '/no-head' && request.method === 'HEAD') return void response.writeHead(405).end();
    if (request.url === '/no-head') {
      const headers = { 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT', 'content-range': 'bytes 0-0/9' };
      return void response.writeHead(206, headers).end('x');
    }
    if (request.url === '/login') {
      const isAnn = request.headers.authorization === `Basic ${Buffer.from('ANN:PW').toString('base64')}`;
      return void response.writeHead(isAnn ? 200 : 401, { etag: '"v2"' }).end('y');
    }
    if (request.url === '/plain') return void response.end('x');
    // Ends when the reader goes away.
    if (request.url === '/endless') return void pipeline(Readable.from(endless()), response, () => {});
    response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
});

afterAll(async () => {
  await Promise.all([open.destroy(), guarded.destroy()]);
  server.closeAllConnections();
  server.close();
});

function* endless() {
  const chunk = Buffer.alloc(1024 ** 2);
  for (;;) yield chunk;
}

const resolve = (modules: readonly CompiledModule[], agent: Agent) =>
  resolveFacts(unresolvedContents(modules), {
    agent,
    clusters: [],
    fingerprint: String,
    fill: (text) => text.toUpperCase(),
  });

const disk = (path: string, credentials: Credentials | null = null) =>
  compiledModule({ vms: [{ source: { kind: 'url', url: `${url}${path}`, credentials, checksum: null } }] });
const file = (path: string, credentials: Credentials | null = null) =>
  compiledModule({ files: [{ name: 'f', kind: 'url', url: `${url}${path}`, credentials, checksum: null }] });

test('distinguishes sources by the validators of their present content', async () => {
  const { sources } = await resolve([disk('/tagged'), disk('/no-head'), disk('/plain'), disk('/moved')], open);
  const identities = ['/tagged', '/no-head', '/plain', '/moved'].map((path) => sources[`${url}${path}`]?.identity);
  expect(identities).toEqual([
    expect.stringMatching(/^validator:/),
    expect.stringMatching(/^validator:/),
    null,
    expect.any(String),
  ]);
  expect(identities[0]).not.toBe(identities[3]);
});

const container = (image: string) => compiledModule({ vms: [{ source: { kind: 'containerDisk', image } }] });

test('asks the registry what a container image is now', async () => {
  const registry = await startImageRegistry({ tokens: true });
  onTestFinished(() => registry.stop());
  const image = `${registry.host}/disks/tiny:1`;
  const identify = async (agent = open) => (await resolve([container(image)], agent)).sources[image]?.identity;
  const push = (text: string) =>
    registry.push('disks/tiny:1', { layers: [{ files: { 'disk/a': Buffer.from(text) } }] });
  await expect(identify()).rejects.toMatchObject({
    code: 'SourceUnreachable',
    message: expect.stringContaining('manifest unknown'),
  });
  const first = await push('one');
  expect(await identify()).toBe(`image:${first}`);
  const second = await push('two');
  expect(second).not.toBe(first);
  expect(await identify()).toBe(`image:${second}`);
  // The cluster may well reach what the farm must not ask.
  const before = registry.requests.length;
  expect(await identify(guarded)).toBeNull();
  // A digest needs no registry.
  expect(unresolvedContents([container(`${registry.host}/disks/tiny@${first}`)]).images).toEqual([]);
  expect(registry.requests.length).toBe(before);
});

test('asks with the credentials of the module, and sends them to no other host', async () => {
  const ann = { username: 'ann', password: 'pw' };
  const guarded = [disk('/login'), disk('/login', ann), file('/login', ann)];
  const { sources, files } = await resolve(guarded, open);
  expect(sources[`${url}/login`]?.identity).toMatch(/^validator:/);
  expect(files[`${url}/login`]).toMatch(/^[0-9a-f]{64}$/);
  // Without a login the cluster's importer has the word.
  expect((await resolve([disk('/login')], open)).sources[`${url}/login`]).toEqual({ identity: null });
  await expect(resolve([file('/login')], open)).rejects.toThrow('it requires a user and a password');
  await expect(resolve([file('/login', { ...ann, password: 'x' })], open)).rejects.toThrow('does not accept the user');
});

test('hashes files, up to 64 MiB', async () => {
  const { files } = await resolve([file('/plain')], open);
  expect(files[`${url}/plain`]).toBe('2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881');
  await expect(resolve([file('/endless')], open)).rejects.toThrow('larger than 64 MiB');
});

test('refuses what is not there, where the first module names it', async () => {
  const text = `name: base
vms:
  - name: a
    source: { url: ${url}/tagged }
    isos:
      - url: ${url}/gone.iso
files:
  - name: f
    url: ${url}/gone.txt
`;
  const { modules } = parseModules([{ path: 'lab.yaml', text }]);
  const lines = (failed: unknown) => failed instanceof FarmError && failed.details['problems'];
  const alone = (change: Partial<CompiledModule>) =>
    resolve(
      modules.map((module) => ({ ...module, ...change })),
      open,
    );
  await expect(alone({ files: [] }).catch(lines)).resolves.toMatchObject([{ file: 'lab.yaml', line: 6, column: 14 }]);
  await expect(alone({ vms: [] }).catch(lines)).resolves.toMatchObject([{ file: 'lab.yaml', line: 9, column: 10 }]);
});

test('refuses what is not there, at the module that wants it', async () => {
  for (const module of [disk('/gone'), file('/gone')]) {
    const problem = { ...module.origin, severity: 'error', message: expect.stringContaining(`"base": `) };
    await expect(resolve([disk('/tagged'), module], open)).rejects.toMatchObject({
      ...{ code: 'SourceUnreachable', message: expect.stringContaining('/gone: the server answered 404') },
      details: { problems: [problem] },
    });
  }
  const script = { kind: 'ConfigMap', name: 'scripts', key: 'a', optional: false } as const;
  const module = compiledModule({ vms: [compiledVm({ steps: [{ ...shell(''), scriptFrom: script }] })] });
  const empty = { name: 'lab', get: async () => undefined };
  const asked = { agent: open, clusters: [empty], fingerprint: String, fill: String };
  await expect(resolveFacts(unresolvedContents([module]), asked)).rejects.toMatchObject({
    ...{ code: 'SourceUnreachable', message: expect.stringContaining('ConfigMap "scripts" key "a" not found') },
    details: { problems: [module.origin] },
  });
});

test('never connects to addresses of its own surroundings under any name', async () => {
  asked.length = 0;
  await expect(resolve([file('/plain')], guarded)).rejects.toThrow('is not a public address');
  const named = compiledModule({
    files: [{ name: 'f', kind: 'url', url: url.replace('127.0.0.1', 'localhost'), credentials: null, checksum: null }],
  });
  await expect(resolve([named], guarded)).rejects.toThrow('is not a public address');
  // The cluster may well reach it: nothing made from it is reused, but it can be built.
  const { sources } = await resolve([disk('/tagged')], guarded);
  expect(sources[`${url}/tagged`]).toEqual({ identity: null });
  expect(asked).toEqual([]);
});
