import { spawn } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { lchown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Confiner } from '../host/confinement.ts';
import { followLifeline, makeLifeline } from '../host/lifeline.ts';
import { killLeftovers } from '../host/processes.ts';
import { watchAppearance } from '../host/watch-appearance.ts';

/** Files of a machine's software TPM below the run directory. */
export function tpmFiles(runDir: string) {
  return {
    state: join(runDir, 'tpm'),
    socket: join(runDir, 'tpm.sock'),
    log: join(runDir, 'tpm.log'),
    /** Open as long as it runs. */
    life: join(runDir, 'tpm.life'),
  } as const;
}

/** Where a TPM runs, and for whom. */
export interface TpmPlace {
  readonly runDir: string;
  readonly confiner: Confiner;
  /** The user of the machine. */
  readonly user: number;
  readonly clock: Clock;
}

/**
 * Starts the software TPM 2.0 of a machine and returns its control socket. It runs beside QEMU in a session of its own:
 * it outlives the server, only QEMU talks to it, and it ends when QEMU does. `followTpm` sees an earlier end. One that a server left behind which died
 * before it started QEMU is ended first; its state stays, so that a TPM is as old as the run directory.
 * Rejects with `ClusterUnfit` when it does not start.
 */
export async function startTpm({ runDir, confiner, user, clock }: TpmPlace): Promise<string> {
  const { state, socket, log, life } = tpmFiles(runDir);
  await killLeftovers(state, clock);
  await rm(socket, { force: true });
  await mkdir(state, { recursive: true, mode: 0o700 });
  const owner = confiner.userOf({ user });
  if (owner !== undefined) await lchown(state, owner, owner);
  const swtpm = [
    ...['swtpm', 'socket', '--tpm2', '--terminate', '--log', `file=${log},truncate`],
    ...['--tpmstate', `dir=${state},mode=0600`, '--ctrl', `type=unixio,path=${socket},mode=0600`],
  ];
  const how = { user, directory: runDir, hasNetwork: false, endsWithServer: false };
  const [command = '', ...args] = confiner.command(swtpm, how);
  const listening = watchAppearance(runDir, socket);
  const lifeline = await makeLifeline(life);
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'ignore', 'ignore', lifeline] });
    child.unref();
    const ended = new Promise<never>((_, reject) => {
      const fail = (cause?: Error) =>
        reject(new FarmError('ClusterUnfit', `swtpm did not start: see ${log}`, { cause }));
      child.once('error', fail);
      child.once('exit', () => fail());
    });
    ended.catch(() => {});
    await Promise.race([listening.appeared, ended]);
  } finally {
    listening.stop();
    closeSync(lifeline);
  }
  return socket;
}

/** Calls `onEnd` when the TPM of a machine, if it has one, has ended; returns how to stop that. */
export function followTpm(runDir: string, onEnd: () => void): () => void {
  const { life } = tpmFiles(runDir);
  return existsSync(life) ? followLifeline(life, onEnd) : () => {};
}
