import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { programCommand } from '../../common/config/package-root.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { ANY_ADDRESS } from '../../common/fetch/address-guard.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { startRedis } from '../harness/redis-server.ts';

/** A farm whose processes run here and whose cluster is elsewhere. `name` labels everything that it makes there. */
export async function startForeignFarm(
  { name, cluster }: { readonly name: string; readonly cluster: ClusterConfig },
  resources: ReleaseStack,
): Promise<FarmClient> {
  const redis = await startRedis();
  resources.defer('redis-server', () => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), 'slipway-foreign-'));
  resources.defer('folder of the farm', () => rmSync(folder, { recursive: true, force: true }));
  const files = new FarmFiles(folder);
  // Read already: their texts are defaults again.
  const { limits: _limits, leastFreeStorage: _least, ...configured } = cluster;
  const config = {
    farm: { name, id: name, keyFile: files.secretFile('farm-key') },
    redis: { url: redis.url },
    http: { port: 0, tokenFile: files.secretFile('token') },
    clusters: [configured],
    retention: { failure: '0' },
    // The media are served from this machine.
    fetch: { allowedAddresses: ANY_ADDRESS },
  };
  writeFileSync(files.config, stringify(config), { mode: 0o600 });
  const supervisor = new Supervisor(createLogger({ name: 'test', level: 'warn' }), () => {});
  resources.defer('processes of the farm', () => supervisor.stop());
  const start = (process: string, command: readonly string[]) => {
    const [file = '', ...args] = command;
    return supervisor.start({
      name: process,
      command: [file, ...args],
      environment: environment(files.config),
      logFile: files.log(process),
      readReady: readReadyEvent,
    });
  };
  // One after the other: a small machine would be slow with all at once.
  const scheduler = await start('scheduler', programCommand('scheduler/main'));
  for (const phase of PHASES) await start(`${phase}-1`, [...programCommand('workers/main'), '--phase', phase]);
  const url = scheduler['url'];
  assert(typeof url === 'string', 'The ready line of the scheduler carries its url.');
  return new FarmClient({ url, token: files.secret('token') });
}

/** No option of the farm may come from the environment of the caller. */
function environment(config: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  return { ...Object.fromEntries(kept), SLIPWAY_CONFIG: config };
}
