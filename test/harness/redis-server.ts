import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-ports.ts';
import { findRedisContainers, type RedisServer } from './redis-container.ts';

export type { RedisServer } from './redis-container.ts';

const START_TRIES = 3;

/**
 * Starts Redis as the farm needs it (append-only file, no eviction, a free port) and reports which one: in a container where
 * a Docker engine holds the image, else the system's `redis-server`. The same tests run either way.
 */
export async function startRedis(): Promise<RedisServer> {
  const startContainer = await findRedisContainers();
  console.log(`Redis of this test: ${startContainer ? 'a container' : 'redis-server of this machine'}`);
  let lastError: unknown;
  for (let attempt = 0; attempt < START_TRIES; attempt += 1) {
    // Another process may take the port meanwhile.
    const port = await freePort();
    try {
      return await (startContainer ?? startSystemRedis)(port);
    } catch (error) {
      lastError = error;
    }
  }
  throw new Error("Redis could not be started. Without containers it is the system's: apt-get install redis-server", {
    cause: lastError,
  });
}

async function startSystemRedis(port: number): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-redis-'));
  const discard = () => rm(folder, { recursive: true, force: true });
  let server = await launch(port, folder).catch(async (error: unknown) => {
    await discard();
    throw error;
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      await end(server, 'SIGTERM');
      await discard();
    },
    restart: async ({ kill = false } = {}) => {
      await end(server, kill ? 'SIGKILL' : 'SIGTERM');
      server = await launch(port, folder);
    },
    pause: async () => void server.kill('SIGSTOP'),
    resume: async () => void server.kill('SIGCONT'),
  };
}

async function launch(port: number, folder: string): Promise<ChildProcess> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
  args.push('--appendonly', 'yes', '--maxmemory-policy', 'noeviction');
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    let output = '';
    server.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ready to accept connections')) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output.slice(-500)}`)));
  });
  server.stdout?.removeAllListeners('data').resume();
  return server;
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, 'exit');
  server.kill(signal);
  // A paused one would act on it when it continues.
  server.kill('SIGCONT');
  await exited;
}
