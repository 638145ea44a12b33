import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { errorMessage } from '../../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';

const DAEMON = 'dockerd';

/** Runs a program with the engine's address; its output goes to ours unless it is returned. */
export type Run = (command: string, args: readonly string[], environment?: NodeJS.ProcessEnv) => Promise<void>;

/** A Docker engine. */
export interface Engine {
  readonly host: string;
  readonly run: Run;
  /** As `run`, and gives standard output. */
  read(command: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Promise<string>;
}

/** The engine that answers, or else one of our own: as root, with everything in a temporary directory. */
export async function useEngine(resources: ReleaseStack): Promise<Engine> {
  const given = engineAt(process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock');
  if (await answers(given)) return given;
  const folder = mkdtempSync(join(tmpdir(), 'slipway-docker-'));
  // Tests reach what it publishes here, even where this is a container itself.
  const own = engineAt(`unix://${folder}/docker.sock`, { TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1' });
  resources.defer('engine folder', async () => {
    // The network namespace of the host, which the engine leaves mounted.
    await own.run('umount', ['--quiet', '--recursive', `${folder}/exec/netns/default`]).catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  });
  // Of its own, because the engine leaves its bridge behind and two of them would share `docker0`.
  const bridge = `sd${folder.slice(-6)}`;
  await own.run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  resources.defer('engine bridge', () => own.run('ip', ['link', 'delete', bridge]));
  const place = ['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/pid`];
  // Other programs rely on the machine's packet filter and settings; the farm's containers need none of their own.
  const untouched = ['--iptables=false', '--ip-masq=false', '--ip-forward=false'];
  await startDaemon(['--host', own.host, '--bridge', bridge, ...place, ...untouched], resources);
  return own;
}

/** Starts the daemon and waits until it reports that it listens. @throws with its last lines when it ends instead */
async function startDaemon(args: readonly string[], resources: ReleaseStack): Promise<void> {
  const daemon = spawn(DAEMON, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(daemon, 'close').catch((error: unknown) => [errorMessage(error)]);
  resources.defer('engine', async () => {
    daemon.kill('SIGTERM');
    await ended;
  });
  let log = '';
  const listens = new Promise<void>((resolve) => {
    daemon.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-2000);
      if (log.includes('API listen on')) resolve();
    });
  });
  const end = await Promise.race([listens, ended]);
  if (end === undefined) return;
  throw new Error(
    `No Docker engine answers, and none could be started (${end[0]}): is docker.io installed, and is this root?\n${log}`,
  );
}

async function answers(engine: Engine): Promise<boolean> {
  return engine.read('docker', ['version', '--format', '{{.Server.Version}}']).then(
    () => true,
    () => false,
  );
}

/** `own` is what every program that uses this engine gets in its environment. */
function engineAt(host: string, own: NodeJS.ProcessEnv = {}): Engine {
  const environmentOf = (more: NodeJS.ProcessEnv = {}) => ({ ...process.env, ...own, ...more, DOCKER_HOST: host });
  return {
    host,
    run: async (command, args, more) => {
      const child = spawn(command, args, { env: environmentOf(more), stdio: ['ignore', 'inherit', 'inherit'] });
      const [code] = (await once(child, 'close')) as [number | null];
      if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
    },
    read: async (command, args, more) => {
      const options = { env: environmentOf(more), maxBuffer: 64 * 1024 * 1024 };
      return (await promisify(execFile)(command, [...args], options)).stdout;
    },
  };
}
