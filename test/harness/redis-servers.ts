import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { assert } from '../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { RedisOptions } from '../../common/redis/connections.ts';
import { freePorts } from './free-ports.ts';

const PASSWORD = 'sesame';
/** After this a primary that does not answer counts as gone. */
const SILENCE_MS = 2_000;

/** Real servers that take over from each other, and how the farm reaches them. */
export interface RedisServers {
  readonly options: Pick<RedisOptions, 'url' | 'sentinels' | 'sentinelName' | 'cluster'>;
  /** The server that has the keys of the farm, as another one reports; its process. */
  primary(): Promise<RunningServer>;
}

export interface RunningServer {
  readonly port: number;
  readonly process: ChildProcess;
  end(): Promise<void>;
}

/** A primary and its replica, in step. */
export interface RedisPair {
  readonly url: string;
  readonly replica: RunningServer;
  /** A client of the replica. */
  readonly replicaClient: Redis;
}

export async function startRedisPair(resources: ReleaseStack): Promise<RedisPair> {
  const { primary, replica, client } = await startPair(resources, await openFolder(resources), await freePorts(2));
  return { url: urlOf(primary.port), replica, replicaClient: client };
}

async function startPair(resources: ReleaseStack, folder: string, ports: readonly number[]) {
  const [first = 0, second = 0] = ports;
  const primary = await startServer(resources, folder, first);
  const replica = await startServer(resources, folder, second, [`replicaof 127.0.0.1 ${first}`]);
  const client = await openClient(resources, second);
  await until(async () => (await client.info('replication')).includes('master_link_status:up'));
  return { primary, replica, client };
}

/** A primary and its replica behind a Sentinel. */
export async function startSentinels(resources: ReleaseStack): Promise<RedisServers> {
  const folder = await openFolder(resources);
  const [first = 0, second = 0, watcher = 0] = await freePorts(3);
  const { primary, replica } = await startPair(resources, folder, [first, second]);
  const servers = [primary, replica];
  await startServer(resources, folder, watcher, [
    ...[`sentinel monitor farm 127.0.0.1 ${first} 1`, `sentinel auth-pass farm ${PASSWORD}`],
    ...[`sentinel down-after-milliseconds farm ${SILENCE_MS}`, 'sentinel failover-timeout farm 4000'],
  ]);
  const sentinel = await openClient(resources, watcher, undefined);
  await until(async () => {
    const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', 'farm')) as unknown[];
    return replicas.length === 1;
  });
  return {
    options: { url: urlOf(1), sentinels: [`127.0.0.1:${watcher}`], sentinelName: 'farm' },
    primary: async () => {
      const [, port] = (await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'farm')) as [string, string];
      return find(servers, Number(port));
    },
  };
}

/** Three primaries, each of which has a third of the slots, and a replica of the one that has the slot of `key`. */
export async function startRedisCluster(resources: ReleaseStack, key: string): Promise<RedisServers> {
  const folder = await openFolder(resources);
  const [buses, ports] = [await freePorts(4), await freePorts(4)];
  const servers: RunningServer[] = [];
  for (const [index, port] of ports.entries()) {
    const timeout = `cluster-node-timeout ${SILENCE_MS}`;
    const own = ['cluster-enabled yes', timeout, `cluster-port ${buses[index]}`];
    servers.push(await startServer(resources, folder, port, own));
  }
  const clients = await Promise.all(ports.map((port) => openClient(resources, port)));
  const [first, second, third, spare] = clients;
  assert(first && second && third && spare, 'There are four servers.');
  for (const [index, port] of ports.entries())
    await first.call('CLUSTER', 'MEET', '127.0.0.1', port, buses[index] ?? 0);
  const thirds = [
    [first, 0, 5_460],
    [second, 5_461, 10_922],
    [third, 10_923, 16_383],
  ] as const;
  for (const [client, from, to] of thirds) await client.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
  const infos = () => Promise.all(clients.map(async (client) => String(await client.cluster('INFO'))));
  const agree = async (sign: string) => (await infos()).every((info) => info.includes(sign));
  await until(() => agree('cluster_state:ok'));
  await until(() => agree('cluster_known_nodes:4'));
  const owner = clients[ports.indexOf(await ownerOf(first, key))];
  const id = await owner?.cluster('MYID');
  await until(async () => (await spare.call('CLUSTER', 'REPLICATE', String(id))) === 'OK');
  await until(async () => (await spare.info('replication')).includes('master_link_status:up'));
  return {
    options: { url: urlOf(1), cluster: ports.map((port) => `127.0.0.1:${port}`) },
    primary: async () => {
      const answers = clients.map((client) => Promise.race([ownerOf(client, key), after(SILENCE_MS).then(fail)]));
      return find(servers, await Promise.any(answers));
    },
  };
}

/** A server that speaks TLS only, and knows the user `farm` only, with these rights. Returns its port. */
export async function startEncryptedRedis(
  resources: ReleaseStack,
  server: { readonly port: number; readonly certificate: string; readonly key: string; readonly rights: string },
): Promise<number> {
  const { port, certificate, key, rights } = server;
  const folder = await openFolder(resources);
  await startServer(resources, folder, 0, [
    ...[`tls-port ${port}`, `tls-cert-file ${certificate}`, `tls-key-file ${key}`, 'tls-auth-clients no'],
    ...['user default off', `user farm on >${PASSWORD} ${rights}`],
  ]);
  return port;
}

/** The port of the primary that has the slot of a key, as a node reports. */
async function ownerOf(client: Redis, key: string): Promise<number> {
  const slot = Number(await client.cluster('KEYSLOT', key));
  const ranges = (await client.cluster('SLOTS')) as unknown as [number, number, [string, number]][];
  const port = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2][1];
  if (port === undefined) throw new Error('The node does not know.');
  return port;
}

async function openFolder(resources: ReleaseStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-redis-'));
  resources.defer('folder of Redis', () => rm(folder, { recursive: true, force: true }));
  return folder;
}

const urlOf = (port: number) => `redis://:${PASSWORD}@127.0.0.1:${port}`;

async function startServer(
  resources: ReleaseStack,
  folder: string,
  port: number,
  more: readonly string[] = [],
): Promise<RunningServer> {
  const isSentinel = more.some((line) => line.startsWith('sentinel '));
  const own = join(folder, String(port));
  await mkdir(own);
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${own}`, ...more];
  const stored = ['save ""', 'appendonly yes', 'maxmemory-policy noeviction', 'repl-diskless-sync-delay 0'];
  const isOwnUser = more.some((line) => line.startsWith('user '));
  if (!isSentinel) lines.push(...stored);
  if (!isSentinel && !isOwnUser) lines.push(`requirepass ${PASSWORD}`, `masterauth ${PASSWORD}`);
  const file = join(own, 'redis.conf');
  await writeFile(file, `${lines.join('\n')}\n`);
  const args = ['--pdeathsig', 'KILL', 'redis-server', file, ...(isSentinel ? ['--sentinel'] : [])];
  const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  resources.defer(`Redis at ${port}`, end);
  await new Promise<void>((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += String(chunk);
      if (/Ready to accept connections|\+monitor master/.test(output)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output.slice(-500)}`)));
  });
  child.stdout?.removeAllListeners('data').resume();
  return { port, process: child, end };
}

async function openClient(resources: ReleaseStack, port: number, password: string | undefined = PASSWORD) {
  const client = new Redis({ port, ...(password === undefined ? {} : { password }) });
  client.on('error', () => {});
  resources.defer('client', () => client.disconnect());
  return client;
}

function fail(): never {
  throw new Error('The server does not answer.');
}

function find(servers: readonly RunningServer[], port: number): RunningServer {
  const found = servers.find((server) => server.port === port);
  if (!found) throw new Error(`No server of this test listens at ${port}.`);
  return found;
}

/** Servers do not report that they agree: they are asked until they do. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await after(50);
}
