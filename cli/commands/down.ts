import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, watch } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { systemClock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { currentDataDir, isAlive, pointerFile, readConnection, stateFolder } from '../client/connection.ts';
import { FarmFiles } from '../farm/farm-files.ts';
import { printLine } from '../output/print.ts';

interface DownFlags {
  readonly dataDir?: string;
  readonly purge?: boolean;
}

const STOP_MS = 90_000;

export function register(program: Command): void {
  program
    .command('down')
    .description('end the farm of this machine, its virtual machines too; builds go on at the next `up`')
    .option('--data-dir <dir>', 'data folder of the farm (default: the one that runs)')
    .option('--purge', 'remove everything the farm made as well: disks, images, networks, records')
    .action(async (flags: DownFlags) => {
      const dataDir = flags.dataDir ? resolve(flags.dataDir) : (currentDataDir() ?? join(stateFolder(), 'farm'));
      if (!existsSync(dataDir)) {
        printLine(`There is no farm in ${dataDir}.`);
        return;
      }
      await stopFarm(dataDir);
      stopMachines(dataDir, flags.purge ?? false);
      if (flags.purge) rmSync(dataDir, { recursive: true, force: true });
      rmSync(pointerFile(), { force: true });
      printLine(`The farm in ${dataDir} ${flags.purge ? 'is gone' : 'has stopped'}.`);
    });
}

/** Asks `up` to end and waits until it has; what a killed `up` left behind is ended here. */
async function stopFarm(dataDir: string): Promise<void> {
  const connection = readConnection(dataDir);
  if (!connection) return;
  const [up] = connection.pids['up'] ?? [];
  if (up !== undefined && isOurs(up, 'up')) {
    const gone = waitUntilRemoved(dataDir, 'connection.json');
    process.kill(up, 'SIGTERM');
    await gone;
    return;
  }
  for (const [role, pids] of Object.entries(connection.pids)) {
    for (const pid of pids) if (isOurs(pid, role)) process.kill(pid, 'SIGTERM');
  }
  rmSync(join(dataDir, 'connection.json'), { force: true });
}

/** Ends the virtual machines, networks and pods of the embedded cluster; with `purge` its files as well. */
function stopMachines(dataDir: string, purge: boolean): void {
  const [node, main] = programCommand('embedded/main');
  const { clusterDir } = new FarmFiles(dataDir);
  if (!existsSync(clusterDir)) return;
  execFileSync(node, [main, '--data-dir', clusterDir, purge ? '--purge' : '--halt', '--log-level', 'warn'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** True when the process lives and is what the file said, not a later one with the same id. */
function isOurs(pid: number, role: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return command.includes(role === 'redis' ? 'redis-server' : 'main.');
  } catch {
    return false;
  }
}

async function waitUntilRemoved(folder: string, name: string): Promise<void> {
  const late = new AbortController();
  const removed = new Promise<void>((done) => {
    const watcher = watch(folder, { signal: late.signal }, () => {
      if (existsSync(join(folder, name))) return;
      watcher.close();
      done();
    });
  });
  const deadline = systemClock.after(STOP_MS, late.signal).then(() => {
    throw new FarmError('DeadlineExceeded', `The farm in ${folder} did not end within ${STOP_MS / 1_000} s.`);
  });
  try {
    await Promise.race([removed, deadline]);
  } finally {
    deadline.catch(() => {});
    late.abort();
  }
}
