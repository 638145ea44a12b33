import { existsSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { currentDataDir, pointerFile, stateFolder } from '../client/connection.ts';
import { haltCluster, purgeCluster, stopFarm } from '../farm/stop-farm.ts';
import { printLine } from '../output/print.ts';

interface DownFlags {
  readonly dataDir?: string;
  readonly purge?: boolean;
}

export function register(program: Command): void {
  program
    .command('down')
    .description('stop the farm of this machine with its virtual machines; builds continue at the next `up`')
    .option('--data-dir <dir>', 'data folder of the farm (default: the one that runs)')
    .option('--purge', 'also remove everything that the farm created: disks, images, networks, records')
    .action(async (flags: DownFlags) => {
      const current = currentDataDir();
      const dataDir = flags.dataDir ? resolve(flags.dataDir) : (current ?? join(stateFolder(), 'farm'));
      if (!existsSync(dataDir)) {
        printLine(`No farm found in ${dataDir}.`);
        return;
      }
      await stopFarm(dataDir);
      if (flags.purge) {
        purgeCluster(dataDir);
        rmSync(dataDir, { recursive: true, force: true });
      } else haltCluster(dataDir);
      if (dataDir === current) rmSync(pointerFile(), { force: true });
      printLine(`The farm in ${dataDir} ${flags.purge ? 'is removed' : 'has stopped; `slipway up` starts it again'}.`);
    });
}
