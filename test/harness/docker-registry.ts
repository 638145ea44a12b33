import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

/** Who may do anything with a registry that is `guarded`. */
export const REGISTRY_USER = { username: 'pusher', password: 'a password: with a colon' };
/** That password under bcrypt, the only hash that the registry knows. */
const HTPASSWD = 'pusher:$2b$04$mYs7LYJiPm6m25nklZBmSun4/iw7/cqK/GCv94CVu6w6AE4Hfnr3e\n';

/** The registry of Debian's package `docker-registry`, on loopback. */
export interface DockerRegistry {
  /** `host:port`, as references name it. */
  readonly host: string;
  stop(): Promise<void>;
}

/** Starts one with nothing in it; with `isGuarded` it is for `REGISTRY_USER` only. */
export async function startDockerRegistry({ isGuarded = false } = {}): Promise<DockerRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-registry-'));
  const users = join(folder, 'htpasswd');
  await writeFile(users, HTPASSWD);
  const config = {
    version: 0.1,
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'content') } },
    http: { addr: '127.0.0.1:0' },
    ...(isGuarded ? { auth: { htpasswd: { realm: 'test', path: users } } } : {}),
  };
  const file = join(folder, 'config.yml');
  await writeFile(file, JSON.stringify(config));
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'docker-registry', 'serve', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null && server.kill('SIGTERM')) await once(server, 'exit');
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { host: await listening(server.stderr), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listening(log: Readable): Promise<string> {
  let output = '';
  for await (const chunk of log.iterator({ destroyOnReturn: false })) {
    output += chunk;
    const [, host] = /listening on (127\.0\.0\.1:\d+)/.exec(output) ?? [];
    if (host === undefined) continue;
    log.resume();
    return host;
  }
  throw new Error(`docker-registry did not start (Debian's package of that name): ${output.slice(-500)}`);
}
