import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import type { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';

const DAEMON = 'dockerd';
const ATTEMPTS = 60;

/** Runs a program with the engine's address; its output goes to ours unless it is wanted. */
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
  resources.defer('engine folder', () => rmSync(folder, { recursive: true, force: true }));
  const own = engineAt(`unix://${folder}/docker.sock`);
  const place = ['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/pid`];
  // Other programs rely on the machine's packet filter; the farm's containers need none of their own.
  const args = [...place, '--host', own.host, '--iptables=false', '--ip-masq=false'];
  const daemon = spawn(DAEMON, args, { stdio: ['ignore', 'ignore', 'ignore'] });
  const ended = once(daemon, 'close');
  resources.defer('engine', async () => {
    daemon.kill('SIGTERM');
    await ended;
  });
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (await answers(own)) return own;
    await delay(500);
  }
  throw new Error('No Docker engine answers, and none could be started: is docker.io installed, and is this root?');
}

async function answers(engine: Engine): Promise<boolean> {
  return engine.read('docker', ['version', '--format', '{{.Server.Version}}']).then(
    () => true,
    () => false,
  );
}

function engineAt(host: string): Engine {
  const environmentOf = (more: NodeJS.ProcessEnv = {}) => ({ ...process.env, ...more, DOCKER_HOST: host });
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
