import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { isAlive, readConnection } from '../client/connection.ts';
import { FarmFiles } from './farm-files.ts';
import { readableLine } from './log-tail.ts';
import { searchPath } from './machine-checks.ts';

const STOP_MS = 90_000;
/** After this a process that was asked to end is made to. */
const END_MS = 20_000;
/** Processes that are not our children can only be looked at again and again. */
const LOOK_AGAIN_MS = 20;

/** Process id of the `slipway up` that runs in a data folder; undefined when none does. */
export function runningUp(dataDir: string): number | undefined {
  const [up] = readConnection(dataDir)?.pids['up'] ?? [];
  return up !== undefined && isOurs(up, 'up') ? up : undefined;
}

/** Asks `up` to end and waits until it has; processes that a killed `up` left behind are ended here. */
export async function stopFarm(dataDir: string): Promise<void> {
  const up = runningUp(dataDir);
  if (up === undefined) return endLeftovers(dataDir);
  const gone = waitUntilRemoved(dataDir, 'connection.json');
  process.kill(up, 'SIGTERM');
  await gone;
}

/** Ends the processes whose `up` was killed, the ones started last first, and resolves when they are gone. */
export async function endLeftovers(dataDir: string): Promise<void> {
  const connection = readConnection(dataDir);
  if (!connection) return;
  for (const [role, all] of Object.entries(connection.pids).reverse()) {
    const left = all.filter((pid) => isOurs(pid, role));
    for (const pid of left) process.kill(pid, 'SIGTERM');
    const deadline = systemClock.now() + END_MS;
    for (const pid of left) {
      while (isOurs(pid, role)) {
        if (systemClock.now() > deadline) process.kill(pid, 'SIGKILL');
        await systemClock.after(LOOK_AGAIN_MS);
      }
    }
  }
  new FarmFiles(dataDir).removeConnection();
}

/** Ends the virtual machines, networks and pods of the embedded cluster. @throws as `purgeCluster` */
export function haltCluster(dataDir: string): void {
  runCluster(dataDir, '--halt');
}

/** The same, and removes the files of the cluster. @throws ClusterUnfit with the error of the cluster's program */
export function purgeCluster(dataDir: string): void {
  runCluster(dataDir, '--purge');
}

function runCluster(dataDir: string, order: '--halt' | '--purge'): void {
  const [node, main] = programCommand('embedded/main');
  const { clusterDir } = new FarmFiles(dataDir);
  if (!existsSync(clusterDir)) return;
  const args = [main, '--data-dir', clusterDir, order, '--log-level', 'warn'];
  try {
    const env = { ...process.env, PATH: searchPath() };
    execFileSync(node, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    const output = String((cause as { stderr?: Buffer }).stderr ?? '')
      .trim()
      .split('\n')
      .map((line) => `  ${readableLine(line)}`);
    const message = `The machines and networks in ${clusterDir} could not be ended:\n${output.join('\n')}`;
    throw new FarmError('ClusterUnfit', message, { cause });
  }
}

/** True when the process lives and is the one in the file, not a later one with the same id. */
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
