import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../common/clock/clock.ts';
import { FarmError } from '../common/errors/farm-error.ts';
import { lockDirectory } from '../common/lifecycle/lock-directory.ts';
import { runProcess } from '../common/lifecycle/run-process.ts';
import { createLogger, LEVELS } from '../common/logging/logger.ts';
import { type ApiHalfOptions, openClusterStore, serveApi } from './api/api-half.ts';
import type { Store } from './api/store.ts';
import type { MachineAccess } from './api/subresources/machine-access.ts';
import { type EmbeddedConfig, readConfig } from './config.ts';
import { haltDataDir, purgeDataDir } from './data-directory.ts';

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    config: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    'audit-log': { type: 'string' },
    'log-level': { type: 'string', default: 'info' },
    'api-only': { type: 'boolean', default: false },
    halt: { type: 'boolean', default: false },
    purge: { type: 'boolean', default: false },
  },
});
if (!values['data-dir']) throw new FarmError('InvalidConfig', 'The option --data-dir is required.');
const dataDir = resolve(values['data-dir']);

// Standard output carries only the ready line; the log goes to standard error.
const level = LEVELS.find((name) => name === values['log-level']) ?? 'info';
const logger = createLogger({ name: 'embedded', level, destination: process.stderr });

/** The machine half is loaded only where machines are to run. */
async function startMachines(
  shared: ApiHalfOptions,
  store: Store,
  config: Omit<EmbeddedConfig, 'namespaces' | 'absentGroups'>,
): Promise<MachineAccess> {
  const { startControllers } = await import('./controllers/start.ts');
  const { podCommands, fetch: _, ...machines } = config;
  // Read again for every import: some addresses are known only after the start.
  const allowedAddresses = async () => (await readConfig(values.config)).fetch.allowedAddresses;
  return await startControllers({ ...shared, store, podCommands, config: machines, allowedAddresses });
}

if (values.purge) await purgeDataDir(dataDir, logger);
else if (values.halt) await haltDataDir(dataDir, logger);
else {
  await runProcess(logger, async (resources) => {
    await lockDirectory(dataDir, 'embedded cluster', resources);
    const shared = { dataDir, clock: systemClock, logger, resources };
    const { namespaces, absentGroups, ...running } = await readConfig(values.config);
    const store = await openClusterStore(shared, { namespaces, absentGroups, network: running.network });
    const access = values['api-only'] ? undefined : await startMachines(shared, store, running);
    const served = await serveApi({
      ...shared,
      store,
      access,
      host: values.host,
      port: Number(values.port),
      auditLog: values['audit-log'],
    });
    process.stdout.write(`${JSON.stringify({ event: 'ready', ...served })}\n`);
  });
}
