import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Laboratory, type Seen } from '../conformance/machines/laboratory.ts';
import { dataVolume } from '../conformance/machines/manifests.ts';

/*
 * The attacker has found a fault in what unpacks or converts images, and runs code in the importer. The tests look at the
 * processes of an import that is held up by its server, from outside, as the kernel sees them.
 */
const MIB = 1024 ** 2;
/** Not root, and not a user with an account. */
const CONFINED_USER = 1_900_000_000;

let disk: string;
let dataDir: string;
let server: Server;
let url: string;
let laboratory: Laboratory;
const held: ServerResponse[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/held') held.push(response.writeHead(200) && response);
    else if (request.url === '/endless') flood(response);
    else if (request.url === '/bomb') response.end(gzipSync(Buffer.alloc(96 * MIB)));
    else if (request.url === '/huge') response.writeHead(200, { 'content-length': 700 * MIB }).flushHeaders();
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // The disk of the cluster is a small one: the reserve of 1 GiB and a little.
  disk = mkdtempSync(join(tmpdir(), 'slipway-attack-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1124m', 'tmpfs', disk]);
  dataDir = join(disk, 'cluster');
  mkdirSync(dataDir);
  laboratory = await Laboratory.open({
    dataDir,
    config: { fetch: { allowedAddresses: [`127.0.0.1:${new URL(url).port}`] } },
  });
}, 60_000);

afterAll(async () => {
  server?.closeAllConnections();
  server?.close();
  await laboratory?.close();
  execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true, force: true });
}, 60_000);

function flood(response: ServerResponse): void {
  const more = () => void (response.destroyed || response.write(Buffer.alloc(MIB), more));
  more();
}

/** Ids of the processes of imports of this cluster, by the directory that they work in. */
function imports(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, program = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const isOne = program.endsWith('import-main.js') && readlinkSync(`/proc/${pid}/cwd`).startsWith(dataDir);
        return isOne ? [Number(pid)] : [];
      } catch {
        // It ended while we looked.
        return [];
      }
    });
}

/** Begins an import whose server sends nothing more, and resolves with its process when that has asked. */
async function heldImport(name: string, size = '16Mi'): Promise<number> {
  const before = held.length;
  await laboratory.create('DataVolume', dataVolume(name, { http: { url: `${url}/held` } }, size));
  await vi.waitUntil(() => held.length > before && imports().length === 1, { timeout: 20_000 });
  return imports()[0] ?? 0;
}

const failed = (name: string) => laboratory.untilImportFails(name);
const messageOf = ({ status }: Seen) => status?.conditions?.find(({ type }) => type === 'Running')?.message;
const noImports = () => vi.waitUntil(() => imports().length === 0, { timeout: 10_000 });
const field = (pid: number, name: string) =>
  new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.trim();

describe('code in the importer', () => {
  let pid: number;

  beforeAll(async () => {
    pid = await heldImport('taken-over');
  });

  test('is not root, and cannot become it', () => {
    expect(field(pid, 'Uid')?.split('\t')).toEqual(Array.from({ length: 4 }, () => `${CONFINED_USER}`));
    expect(field(pid, 'Groups')).toBe('');
    expect(field(pid, 'NoNewPrivs')).toBe('1');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(field(pid, set)).toMatch(/^0+$/);
  });

  test('finds no file but those of the import: no key of the cluster, no disk, no home, no passwords', () => {
    const seen = `/proc/${pid}/root`;
    expect(readdirSync(join(seen, dataDir))).toEqual(['run']);
    expect(readdirSync(join(seen, dataDir, 'run'))).toEqual(['imports']);
    expect(readdirSync(join(seen, dataDir, 'run', 'imports'))).toHaveLength(1);
    for (const path of ['/etc/shadow', '/etc/passwd', '/root', '/home', '/var', '/run', '/sys']) {
      expect(existsSync(join(seen, path)), path).toBe(false);
    }
  });

  test('can write nothing but that', () => {
    const mounts = readFileSync(`/proc/${pid}/mounts`, 'utf8').trim().split('\n');
    const writable = mounts
      .map((line) => line.split(' '))
      .filter(([, path = '', , options = '']) => /^rw\b/.test(options) && !/^\/(proc|dev)\b/.test(path));
    const directory = readlinkSync(`/proc/${pid}/cwd`);
    expect(writable.map(([, path]) => path).toSorted()).toEqual(['/tmp', directory].toSorted());
  });

  test('sees no process but its own', () => {
    const pids = readdirSync(`/proc/${pid}/root/proc`).filter((name) => /^\d+$/.test(name));
    expect(pids.length).toBeLessThanOrEqual(2);
  });

  test('has no network but a door, which leads to no service of the host', async () => {
    const network = (process: number | 'self') => readlinkSync(`/proc/${process}/ns/net`);
    expect(network(pid)).not.toBe(network('self'));
    const devices = readFileSync(`/proc/${pid}/net/dev`, 'utf8').match(/^ *\S+(?=:)/gm);
    expect(devices?.map((name) => name.trim())).toEqual(['lo']);
    const door = join(readlinkSync(`/proc/${pid}/cwd`), 'door');
    const kubernetes = new URL(laboratory.client.config.getCurrentCluster()?.server ?? '');
    const refused = /^ERROR 127\.0\.0\.1 is not a public address: /;
    expect(await ask(door, `CONNECT ${kubernetes.hostname} ${kubernetes.port}\n`)).toMatch(refused);
    expect(await ask(door, 'CONNECT 169.254.169.254 80\n')).toMatch(/^ERROR 169\.254\.169\.254 is a link-local/);
    expect(await ask(door, `GET ${'x'.repeat(100_000)}`)).toBe('');
  });

  test('is bounded in memory, time and the size of files', () => {
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
    const hard = (name: string) => Number(new RegExp(`^${name} +\\S+ +(\\S+)`, 'm').exec(limits)?.[1]);
    expect(hard('Max cpu time')).toBeLessThanOrEqual(7200);
    expect(hard('Max data size')).toBeLessThanOrEqual(1024 ** 3);
    expect(hard('Max file size')).toBeLessThanOrEqual(256 * MIB);
    expect(hard('Max core file size')).toBe(0);
  });

  test('that crashes fails its own import and nothing else', async () => {
    const since = (await laboratory.get('DataVolume', 'taken-over'))?.metadata.resourceVersion;
    process.kill(pid, 'SIGSEGV');
    expect(messageOf(await laboratory.untilImportFails('taken-over', { since }))).toMatch(/^The importer crashed: /);
    expect((await laboratory.client.send('GET', '/version')).code).toBe(200);
    await laboratory.delete('DataVolume', 'taken-over');
    await noImports();
  });
});

/** Files of imports and volumes. */
const left = () => ['volumes', 'run/imports'].flatMap((folder) => readdirSync(join(dataDir, folder)));

/** What a door answers, until it is closed. */
async function ask(door: string, words: string): Promise<string> {
  const socket = connect(door, () => socket.end(words));
  socket.on('error', () => {});
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}

test('an import ends with the volume that it was for, and with the server', async () => {
  await heldImport('unwanted');
  await laboratory.delete('DataVolume', 'unwanted');
  await laboratory.untilGone('PersistentVolumeClaim', 'unwanted');
  await vi.waitUntil(() => imports().length + left().length === 0, { timeout: 10_000 });
  await heldImport('cut-off');
  await laboratory.cluster.kill('SIGKILL');
  await noImports();
  await laboratory.cluster.restart();
  await vi.waitUntil(() => imports().length === 1, { timeout: 20_000 });
  await laboratory.delete('DataVolume', 'cut-off');
  await noImports();
});

test('an image that fills the disk of the cluster is stopped at the reserve, and reports the missing size', async () => {
  await laboratory.create('DataVolume', dataVolume('endless', { http: { url: `${url}/endless` } }, '10Gi'));
  const sentence =
    /^Too little room for images on the disk of the cluster: \d+ MiB are free besides the reserve of 1024 MiB/;
  expect(messageOf(await failed('endless'))).toMatch(sentence);
  await laboratory.delete('DataVolume', 'endless');
  await laboratory.create('DataVolume', dataVolume('huge', { http: { url: `${url}/huge` } }, '10Gi'));
  expect(messageOf(await failed('huge'))).toMatch(
    /it needs 700 MiB, \d+ MiB are free besides .*: \d+ MiB are missing$/,
  );
  await laboratory.delete('DataVolume', 'huge');
});

test('a bomb is stopped at the size of its disk', async () => {
  await laboratory.create('DataVolume', dataVolume('bomb', { http: { url: `${url}/bomb` } }, '16Mi'));
  expect(messageOf(await failed('bomb'))).toContain('DataVolume too small to contain image: unpacked it has more than');
  await laboratory.delete('DataVolume', 'bomb');
});

test('nothing of it is left', async () => {
  await vi.waitUntil(() => left().length === 0, { timeout: 10_000 });
  expect(imports()).toEqual([]);
});
