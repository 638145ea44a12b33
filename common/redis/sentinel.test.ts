import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freePorts } from '../../test/harness/free-ports.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { assertRedisFit, useRedis } from './connections.ts';
import { runScript } from './scripts.ts';

/*
 * A real Sentinel over two real servers with a password: what the farm asks for goes on after the primary was killed, on
 * connections that stay open.
 */
test('goes on with the primary that Sentinel names after a failover', { timeout: 60_000 }, async () => {
  await using resources = new ReleaseStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-sentinel-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [first = 0, second = 0, watcher = 0] = await freePorts(3);
  const serverOf = (port: number) => [
    ...[`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `appenddirname aof-${port}`, 'save ""', 'appendonly yes'],
    ...['maxmemory-policy noeviction', 'requirepass sesame', 'masterauth sesame', 'repl-diskless-sync-delay 0'],
  ];
  const start = async (name: string, lines: readonly string[], ...more: string[]) => {
    const file = join(folder, `${name}.conf`);
    await writeFile(file, `${lines.join('\n')}\n`);
    const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', file, ...more], { stdio: 'ignore' });
    resources.defer(name, () => end(server));
    return server;
  };
  const primary = await start('first', serverOf(first));
  await start('second', [...serverOf(second), `replicaof 127.0.0.1 ${first}`]);
  const logger = createLogger({ name: 'test', level: 'silent' });
  const direct = await eventually(() =>
    useRedis(resources, { url: `redis://:sesame@127.0.0.1:${second}`, logger }, 'listener'),
  );
  await expect.poll(() => direct.info('replication'), { timeout: 20_000 }).toContain('master_link_status:up');
  await start(
    'sentinel',
    [
      ...[`port ${watcher}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor farm 127.0.0.1 ${first} 1`],
      ...['sentinel auth-pass farm sesame', 'sentinel down-after-milliseconds farm 500'],
      'sentinel failover-timeout farm 4000',
    ],
    '--sentinel',
  );
  const options = { url: 'redis://:sesame@ignored', sentinels: [`127.0.0.1:${watcher}`], sentinelName: 'farm', logger };
  const redis = await eventually(() => useRedis(resources, options, 'producer'));
  await assertRedisFit(redis);
  const advertise = () => runScript(redis, 'advertise', ['lab', 'import', 'w', 1, 1_000]);
  await advertise();
  // Sentinel has found the replica, which it may choose.
  const sentinel = await eventually(() =>
    useRedis(resources, { url: `redis://127.0.0.1:${watcher}`, logger }, 'listener'),
  );
  await expect.poll(() => sentinel.call('SENTINEL', 'REPLICAS', 'farm'), { timeout: 20_000 }).toHaveLength(1);

  await end(primary);
  await expect(advertise()).rejects.toMatchObject({ code: 'RedisUnavailable' });
  await expect.poll(() => advertise().then(() => 'done', String), { timeout: 40_000 }).toBe('done');
  expect(await direct.role()).toContain('master');
});

/** Waits for a server that is being started. */
async function eventually<T>(work: () => Promise<T>): Promise<T> {
  let found: T | undefined;
  await expect
    .poll(
      async () => {
        found = await work().catch(() => undefined);
        return found;
      },
      { timeout: 20_000 },
    )
    .toBeDefined();
  return found as T;
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, 'exit');
  server.kill('SIGKILL');
  await exited;
}
