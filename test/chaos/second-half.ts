import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import type { TestFarm } from '../harness/farm.ts';
import { openShakyWay, type ShakyWay } from './shaky-way.ts';

/** A second scheduler and a second worker of each phase, which reach Redis and the cluster on ways that a test shakes. */
export interface SecondHalf {
  readonly toRedis: ShakyWay;
  readonly toCluster: ShakyWay;
  /** Changes its cluster in its configuration: each process ends what it does for it, and begins again. */
  changeConfig(): void;
  /** Process ids by role, as they are now. */
  pids(): Readonly<Record<string, readonly number[]>>;
}

export async function startSecondHalf(resources: ReleaseStack, farm: TestFarm): Promise<SecondHalf> {
  const files = new FarmFiles(farm.dataDir);
  const folder = (name: string) => join(farm.dataDir, `second-${name}`);
  const kubeconfig = parse(readFileSync(files.kubeconfig, 'utf8'));
  const server = new URL(kubeconfig.clusters[0].cluster.server);
  const toRedis = await openShakyWay(resources, { path: farm.connection.redisUrl });
  const toCluster = await openShakyWay(resources, { host: server.hostname, port: Number(server.port) });
  server.port = String(toCluster.port);
  kubeconfig.clusters[0].cluster.server = server.href.replace(/\/$/, '');
  writeFileSync(folder('kubeconfig'), stringify(kubeconfig), { mode: 0o600 });
  const config = parse(readFileSync(files.config, 'utf8'));
  config.redis.url = `redis://127.0.0.1:${toRedis.port}`;
  config.http.port = 0;
  config.clusters[0].kubeconfig = folder('kubeconfig');
  let changes = 0;
  const writeConfig = () => {
    config.clusters[0].labels = { changes: String(changes++) };
    writeFileSync(folder('farm.yaml'), stringify(config), { mode: 0o600 });
  };
  writeConfig();

  const supervisor = new Supervisor(createLogger({ name: 'chaos', level: 'silent' }), () => {});
  resources.defer('second half', () => supervisor.stop());
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  const environment = { ...Object.fromEntries(kept), SLIPWAY_CONFIG: folder('farm.yaml') };
  const start = (name: string, command: readonly string[]) => {
    const [program = '', ...args] = command;
    const logFile = files.log(`second-${name}`);
    return supervisor.start({ name, command: [program, ...args], environment, logFile, readReady: readReadyEvent });
  };
  await Promise.all([
    start('scheduler', programCommand('scheduler/main')),
    ...PHASES.map((phase) => start(phase, [...programCommand('workers/main'), '--phase', phase])),
  ]);
  return { toRedis, toCluster, changeConfig: writeConfig, pids: () => supervisor.pids() };
}
