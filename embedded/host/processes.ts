import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { Clock } from '../../common/clock/clock.ts';

/** A process of this host. */
export interface HostProcess {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** How often the command line of a process is read that is just being replaced by another program. */
const MOST_READS = 100;

async function argvOf(pid: string): Promise<readonly string[]> {
  try {
    for (let reads = 1; ; reads += 1) {
      const text = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      if (text || reads === MOST_READS || !(await hasMemory(pid))) return text.split('\0').slice(0, -1);
    }
  } catch {
    return []; // It ended while the list was read.
  }
}

/**
 * Whether a process has memory. Threads of the kernel and processes that wait to be reaped have none. Who has some and no
 * command line is between two programs: execve(2) takes the memory of the new one before it fills it.
 */
async function hasMemory(pid: string): Promise<boolean> {
  return !(await readFile(`/proc/${pid}/statm`, 'utf8')).startsWith('0 ');
}

/**
 * Processes whose command line names the path `marker` or something below it. Every process of the machine half carries
 * its own directory (which holds the uid of its object) on its command line, so it is recognised after a restart of the
 * server without a pid file, whose pid might meanwhile belong to another process.
 */
export async function findProcesses(marker: string): Promise<HostProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const all = await Promise.all(pids.map(async (pid) => ({ pid: Number(pid), argv: await argvOf(pid) })));
  return all.filter(({ argv }) => argv.some((argument) => containsPath(argument, marker)));
}

/** Kills remaining child processes of a directory's former server. A new directory has none, so no search is needed. */
export async function killLeftovers(directory: string, clock: Clock): Promise<void> {
  if (existsSync(directory)) await killProcesses(await findProcesses(directory), clock);
}

/** Whether `text` holds the path as a whole, not as the beginning of a longer name. */
export function containsPath(text: string, path: string): boolean {
  const at = text.indexOf(path);
  if (at < 0) return false;
  const after = text[at + path.length];
  return after === undefined || after === '/' || after === ',' || containsPath(text.slice(at + path.length), path);
}

/** Sends a signal to a process, or to its group when `pid` is negative; false when there is none any more. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Whether the process is there and not only waits to be reaped. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/^\d+ \(.*\) [ZX] /s.test(stat);
  } catch {
    return false;
  }
}

/**
 * Kills processes with their groups and resolves when they are gone. The end of a process that is not our child cannot
 * be watched from Node, hence the short steps.
 */
export async function killProcesses(processes: readonly HostProcess[], clock: Clock): Promise<void> {
  for (const { pid } of processes) if (!sendSignal(-pid, 'SIGKILL')) sendSignal(pid, 'SIGKILL');
  for (const { pid } of processes) while (await isAlive(pid)) await clock.after(2);
}
