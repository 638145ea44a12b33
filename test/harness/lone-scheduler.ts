import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { startRedis } from './redis-server.ts';

/** A scheduler as it is installed, in a process of its own. */
export interface LoneScheduler {
  readonly url: string;
  /** With TLS, where it serves TLS. */
  readonly tlsUrl: string | undefined;
  /** An admin's. */
  readonly token: string;
  /** Its own, with `kubeconfig`. */
  readonly folder: string;
  /** Of the Redis that only it uses. */
  readonly redisUrl: string;
  /** Its log so far lies there. */
  readonly logFile: string;
}

/** Starts a scheduler without workers, whose one cluster `lab` never answers; `http` is set in its configuration. */
export async function startLoneScheduler(resources: ReleaseStack, http: object = {}): Promise<LoneScheduler> {
  const redis = await startRedis();
  resources.defer('redis-server', () => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), 'slipway-scheduler-'));
  resources.defer('folder of the scheduler', () => rmSync(folder, { recursive: true, force: true }));
  const files = new FarmFiles(folder);
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, stringify(NOBODY));
  const config = {
    farm: { keyFile: files.secretFile('farm-key') },
    redis: { url: redis.url },
    http: { port: 0, tokenFile: files.secretFile('token'), ...http },
    clusters: [{ name: 'lab', kubeconfig }],
  };
  writeFileSync(files.config, stringify(config), { mode: 0o600 });
  const supervisor = new Supervisor(createLogger({ name: 'test', level: 'silent' }), () => {});
  resources.defer('scheduler', () => supervisor.stop());
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  const ready = await supervisor.start({
    name: 'scheduler',
    command: programCommand('scheduler/main'),
    environment: { ...Object.fromEntries(kept), SLIPWAY_CONFIG: files.config },
    logFile: files.log('scheduler'),
    readReady: readReadyEvent,
  });
  const { url, tlsUrl } = ready;
  assert(typeof url === 'string', 'The ready line of the scheduler carries its url.');
  return {
    url,
    tlsUrl: typeof tlsUrl === 'string' ? tlsUrl : undefined,
    ...{ folder, token: files.secret('token'), redisUrl: redis.url, logFile: files.log('scheduler') },
  };
}

/** Port 1 of this machine refuses every connection. */
const NOBODY = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'lab',
  contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
  clusters: [{ name: 'lab', cluster: { server: 'https://127.0.0.1:1' } }],
  users: [{ name: 'lab', user: { token: 'none' } }],
};

/** One with a client of its admin, and a connection to its Redis. */
export async function openLoneScheduler(resources: ReleaseStack, http: object = {}) {
  const scheduler = await startLoneScheduler(resources, http);
  const logger = createLogger({ name: 'test', level: 'silent' });
  const redis = await useRedis(resources, { url: scheduler.redisUrl, logger }, 'producer');
  return { scheduler, admin: new FarmClient(scheduler), redis };
}
