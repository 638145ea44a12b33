import { type ChildProcess, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { decode, encode } from 'dns-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';

interface Ports {
  readonly http: number;
  readonly dns: number;
  readonly control: number;
}

const resources = new ReleaseStack();
let files: string;
let upstream: number;
let relay: ChildProcess;
let ports: Ports;

async function startRelay(): Promise<void> {
  const flags = ['--address', '127.0.0.1', '--files', files, '--max-file-bytes', '1000', '--network', '127.0.0.0/8'];
  const names = [
    '--record',
    'Web=10.7.0.5,10.8.0.5',
    '--record',
    'later=',
    '--upstream',
    `127.0.0.1:${upstream}`,
    '--domain',
    'lab.internal',
  ];
  const [node, main] = programCommand('workers/relay/main');
  relay = spawn(node, [main, ...flags, ...names], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!relay.stdout) throw new Error('no output');
  for await (const line of createInterface({ input: relay.stdout })) {
    const entry = JSON.parse(line) as { msg: string; ports?: Ports };
    if (entry.ports) {
      ports = entry.ports;
      relay.stdout.resume();
      return;
    }
  }
  throw new Error('The relay did not become ready.');
}

async function stopRelay(): Promise<void> {
  const ended = once(relay, 'exit');
  relay.kill('SIGTERM');
  await ended;
}

beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'relay-'));
  resources.defer('files', () => rm(files, { recursive: true }));
  upstream = await startUpstream();
  await writeFile(join(files, 'cut-off.123.part'), 'half');
  await startRelay();
  resources.defer('relay', stopRelay);
});

afterAll(() => resources.close());

/** A name server that knows the address of everything. */
async function startUpstream(): Promise<number> {
  const socket = resources.use('upstream', createSocket('udp4'), (open) => void open.close());
  socket.on('message', (message, sender) => {
    const query = decode(message);
    const name = query.questions?.[0]?.name ?? '';
    const answers = [{ type: 'A', name, data: '192.0.2.1' } as const];
    const reply = encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], answers });
    if (name !== 'silent.example') socket.send(reply, sender.port, sender.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.address().port;
}

const sha256 = (text: string) => hash('sha256', text);

async function put(name: string, content: string, hash = sha256(content)): Promise<number> {
  const url = `http://127.0.0.1:${ports.control}/files/${encodeURIComponent(name)}?sha256=${hash}`;
  return (await fetch(url, { method: 'PUT', body: content })).status;
}

async function get(path: string): Promise<{ status: number; length: string | null; text: string }> {
  // The path goes out as it is: fetch() would tidy up what an attacker writes.
  const request = http.get({ host: '127.0.0.1', port: ports.http, path, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, length: response.headers['content-length'] ?? null, text };
}

test('serves the files that were put, also after a restart, and no others', async () => {
  expect(await put('dir/preseed.cfg', 'd-i größe')).toBe(201);
  const served = { status: 200, length: '11', text: 'd-i größe' };
  expect(await get('/dir/preseed.cfg?x=1')).toEqual(served);
  expect((await get('/dir%2Fpreseed.cfg')).status).toBe(200);
  for (const path of ['/', '/preseed.cfg', '/../../etc/passwd', '/%2e%2e/etc/passwd', '/cut-off.123.part', '/%ff']) {
    expect([path, (await get(path)).status]).toEqual([path, 404]);
  }
  await stopRelay();
  await startRelay();
  expect(await get('/dir/preseed.cfg')).toEqual(served);
});

test('refuses a file that is not what was announced, or too large, and keeps the former one', async () => {
  expect(await put('a', 'first')).toBe(201);
  expect(await put('a', 'second', sha256('other'))).toBe(422);
  expect(await put('a', 'x'.repeat(1001))).toBe(413);
  expect((await get('/a')).text).toBe('first');
});

test('guests can neither put files nor connect', async () => {
  const url = `http://127.0.0.1:${ports.http}/files/a?sha256=${sha256('evil')}`;
  expect((await fetch(url, { method: 'PUT', body: 'evil' })).status).toBe(405);
  const request = http.request({ port: ports.http, host: '127.0.0.1', method: 'CONNECT', path: '127.0.0.1:22' });
  await expect(once(request.end(), 'connect')).rejects.toThrow();
});

async function tunnel(target: string): Promise<{ status: number; socket: Socket; head: string }> {
  const request = http.request({ port: ports.control, host: '127.0.0.1', method: 'CONNECT', path: target });
  const [response, socket, head] = (await once(request.end(), 'connect')) as [IncomingMessage, Socket, Buffer];
  let text = head.toString();
  if (response.statusCode !== 200) for await (const chunk of socket) text += String(chunk);
  return { status: response.statusCode ?? 0, socket, head: text };
}

test('connects to guests and carries both directions to their ends', async () => {
  const size = 8 * 1024 * 1024;
  const guest = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('end', () => socket.end(String(socket.bytesRead))).resume();
  });
  guest.listen(0, '127.0.0.1');
  await once(guest, 'listening');
  resources.defer('guest', () => void guest.close());
  const { status, socket } = await tunnel(`127.0.0.1:${(guest.address() as AddressInfo).port}`);
  socket.end(Buffer.alloc(size));
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  expect({ status, answer }).toEqual({ status: 200, answer: String(size) });
});

test('reaches a guest that boots as soon as it listens', async () => {
  const guest = createServer((socket) => socket.end('here')).listen(0, '127.0.0.1');
  await once(guest, 'listening');
  const { port } = guest.address() as AddressInfo;
  await new Promise((resolve) => guest.close(resolve));
  const reached = tunnel(`127.0.0.1:${port}`);
  // Nothing listens there yet.
  await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  guest.listen(port, '127.0.0.1');
  resources.defer('guest that boots', () => void guest.close());
  const { status, socket, head } = await reached;
  let output = head;
  for await (const chunk of socket) output += String(chunk);
  expect({ status, output }).toEqual({ status: 200, output: 'here' });
});

test('reports why a guest cannot be reached, and connects to nothing outside its networks', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  expect(await tunnel(`127.0.0.1:${port}`)).toMatchObject({
    status: 502,
    head: expect.stringContaining('ECONNREFUSED'),
  });
  for (const target of ['192.0.2.1:22', 'localhost:22', '127.0.0.1:99999']) {
    expect((await tunnel(target)).status).toBe(403);
  }
});

test('resolves the machines of the module and forwards the rest', async () => {
  const resolver = new Resolver({ timeout: 10_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${ports.dns}`]);
  expect((await resolver.resolve4('wEB')).sort()).toEqual(['10.7.0.5', '10.8.0.5']);
  expect((await resolver.resolve4('web.LAB.internal')).sort()).toEqual(['10.7.0.5', '10.8.0.5']);
  // The server behind it would know it.
  await expect(resolver.resolve4('nothing.lab.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  expect(await resolver.reverse('10.8.0.5')).toEqual(['web']);
  await expect(resolver.resolve6('web')).rejects.toMatchObject({ code: 'ENODATA' });
  expect(await resolver.resolve4('elsewhere.example')).toEqual(['192.0.2.1']);
  // c-ares adapts its patience to the server's, so this one is asked by hand.
  const socket = createSocket('udp4');
  const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'silent.example' }] });
  socket.send(query, ports.dns, '127.0.0.1');
  const [reply] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  expect(decode(reply)).toMatchObject({ id: 9, rcode: 'SERVFAIL' });
});

test('learns where a machine is, and refuses queries until then', async () => {
  const resolver = new Resolver({ timeout: 10_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${ports.dns}`]);
  await expect(resolver.resolve4('later')).rejects.toMatchObject({ code: 'ESERVFAIL' });
  const learn = async (name: string, address: string) =>
    (await fetch(`http://127.0.0.1:${ports.control}/names/${name}?address=${address}`, { method: 'PUT' })).status;
  expect(await learn('later', '10.9.0.1')).toBe(204);
  expect(await resolver.resolve4('later')).toEqual(['10.9.0.1']);
  expect(await learn('Later', '10.9.0.2')).toBe(204);
  expect(await resolver.resolve4('later')).toEqual(['10.9.0.2']);
  expect([await learn('nobody', '10.9.0.3'), await learn('later', 'here')]).toEqual([404, 404]);
  expect(await resolver.resolve4('later')).toEqual(['10.9.0.2']);
});

test('a guest that reads no answers gets no more of its queries read', async () => {
  // Its answer repeats the questions.
  const query = encode({
    type: 'query',
    id: 7,
    questions: Array.from({ length: 13_000 }, () => ({ type: 'A', name: '.' })),
  });
  const message = Buffer.concat([Buffer.of(query.length >> 8, query.length & 0xff), query]);
  const socket = connect(ports.dns, '127.0.0.1').pause();
  socket.on('error', () => {});
  // More than both ends of the connection hold.
  const sent = new Promise<string>((resolve) => {
    for (let n = 0; n < 500; n++) socket.write(message);
    socket.write('', (error) => !error && resolve('all were read'));
  });
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve('closed')));
  expect(await Promise.race([sent, closed])).toBe('closed');
}, 60_000);

test('a guest holds a bounded number of connections', async () => {
  const refused = (port: number) =>
    new Promise<void>((resolve) => {
      const sockets: Socket[] = [];
      const add = () => {
        const socket = connect(port, '127.0.0.1').on('error', () => {});
        socket.once('close', () => {
          for (const other of sockets) other.destroy();
          resolve();
        });
        socket.once('connect', add);
        sockets.push(socket);
      };
      add();
    });
  await refused(ports.dns);
  await refused(ports.http);
});

test('resolves over TCP and survives garbage', async () => {
  const garbage = createSocket('udp4');
  garbage.send(Buffer.from('no message at all'), ports.dns, '127.0.0.1', () => garbage.close());
  const query = encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'web' }] });
  const socket = connect(ports.dns, '127.0.0.1');
  socket.end(Buffer.concat([Buffer.of(0, query.length), query]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  expect(decode(answer.subarray(2)).answers).toHaveLength(2);
});
