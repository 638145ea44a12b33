import { rm } from 'node:fs/promises';
import { systemClock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { layoutOf } from '../host/layout.ts';
import { findProcesses, killProcesses } from '../host/processes.ts';
import { removeHostEgress } from '../network/egress.ts';
import { listNamespaces, removeNamespace } from '../network/namespaces.ts';

/**
 * Ends everything that the machine half of a data directory left running: processes first, since the namespaces that
 * they are in go only with them; taps and bridges go with the namespaces. The server must not run.
 */
export async function killMachines(dataDir: string, logger: Logger): Promise<void> {
  const layout = layoutOf(dataDir);
  const processes = await findProcesses(layout.run);
  await killProcesses(processes, systemClock);
  const namespaces = await listNamespaces(layout);
  for (const namespace of namespaces) await removeNamespace(namespace);
  await removeHostEgress(layout);
  await rm(layout.run, { recursive: true, force: true });
  logger.info({ processes: processes.length, namespaces: namespaces.length }, 'The machines have been ended');
}
