import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { killLeftovers } from '../host/processes.ts';
import { runCommand } from '../host/run-command.ts';

/** What the software TPM of a machine keeps below the machine's run directory. */
export function tpmFiles(runDir: string) {
  return { state: join(runDir, 'tpm'), socket: join(runDir, 'tpm.sock'), log: join(runDir, 'tpm.log') } as const;
}

/**
 * Starts the software TPM 2.0 of a machine and returns its control socket. It runs beside QEMU in a session of its own:
 * it outlives the server, only QEMU talks to it, and it ends when QEMU does. One that a server left behind which died
 * before it started QEMU is ended first; what it keeps stays, so that a TPM is as old as the run directory.
 * Rejects with `ClusterUnfit` when swtpm is not installed.
 */
export async function startTpm(runDir: string, clock: Clock): Promise<string> {
  const { state, socket, log } = tpmFiles(runDir);
  await killLeftovers(state, clock);
  await rm(socket, { force: true });
  await mkdir(state, { recursive: true, mode: 0o700 });
  await runCommand('swtpm', [
    ...['socket', '--tpm2', '--daemon', '--terminate', '--log', `file=${log},truncate`],
    ...['--tpmstate', `dir=${state},mode=0600`, '--ctrl', `type=unixio,path=${socket},mode=0600`],
  ]);
  return socket;
}
