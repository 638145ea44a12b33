import { rm } from 'node:fs/promises';
import { lockDirectory } from '../common/lifecycle/lock-directory.ts';
import { ReleaseStack } from '../common/lifecycle/release-stack.ts';
import type { Logger } from '../common/logging/logger.ts';

/**
 * Ends everything that a data directory's cluster left running; its disks and objects stay.
 * @throws FarmError InvalidConfig while a cluster still runs in it
 */
export async function haltDataDir(dataDir: string, logger: Logger): Promise<void> {
  await using resources = new ReleaseStack();
  await lockDirectory(dataDir, 'embedded cluster', resources);
  const { killMachines } = await import('./controllers/halt-machines.ts');
  await killMachines(dataDir, logger);
}

/**
 * Ends everything that a data directory's cluster left running and removes the directory.
 * @throws FarmError InvalidConfig while a cluster still runs in it
 */
export async function purgeDataDir(dataDir: string, logger: Logger): Promise<void> {
  await haltDataDir(dataDir, logger);
  await rm(dataDir, { recursive: true, force: true });
}
