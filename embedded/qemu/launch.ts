import { spawn } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import type { Clock } from '../../common/clock/clock.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { findProcesses } from '../host/processes.ts';
import { watchAppearance } from '../host/watch-appearance.ts';
import { machineSockets, qemuArguments } from './command-line.ts';
import { lastWords, Machine } from './machine.ts';
import type { MachineSpec } from './machine-spec.ts';
import { QmpClient } from './qmp-client.ts';

const QEMU = 'qemu-system-x86_64';

/** How a machine is started. */
export interface LaunchOptions {
  readonly spec: MachineSpec;
  /** Path of the network namespace to run in; the host's when absent. */
  readonly networkNamespace?: string;
  readonly clock: Clock;
  readonly onChange: () => void;
}

/**
 * Starts QEMU in a session of its own, at lower priority, so that it outlives the server; resolves when it runs and
 * answers. Rejects with QEMU's own words when it ends at once.
 */
export async function launchMachine({ spec, networkNamespace, clock, onChange }: LaunchOptions): Promise<Machine> {
  const sockets = machineSockets(spec.runDir);
  await mkdir(spec.runDir, { recursive: true });
  await Promise.all([sockets.qmp, sockets.vnc, sockets.serial].map((path) => rm(path, { force: true })));
  const enter = networkNamespace ? ['nsenter', `--net=${networkNamespace}`] : [];
  const [command = QEMU, ...args] = [...enter, 'nice', '-n', '5', QEMU, ...qemuArguments(spec)];
  const log = await open(sockets.stderr, 'w');
  const listening = watchAppearance(spec.runDir, sockets.qmp);
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
    const ended = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new FarmError('ClusterUnfit', 'QEMU could not be started', { cause })));
      child.once('exit', async () => reject(new FarmError('BrokenInvariant', `QEMU: ${await lastWords(spec.runDir)}`)));
    });
    child.unref();
    const qmp = await Promise.race([listening.appeared.then(() => openQmp(sockets.qmp, clock)), ended]);
    ended.catch(() => {}); // From here on the end shows on the control connection.
    const process = { pid: child.pid ?? 0, argv: [command, ...args] };
    return await Machine.follow({ process, runDir: spec.runDir, qmp, clock, onChange });
  } finally {
    listening.stop();
    await log.close();
  }
}

/** Finds the QEMU process of a run directory after a restart of the server; undefined when it is gone. */
export async function adoptMachine(
  runDir: string,
  options: Pick<LaunchOptions, 'clock' | 'onChange'>,
): Promise<Machine | undefined> {
  const [process] = (await findProcesses(runDir)).filter(({ argv }) => argv.some((part) => part.endsWith(QEMU)));
  if (!process) return undefined;
  try {
    const qmp = await QmpClient.open(machineSockets(runDir).qmp);
    return await Machine.follow({ process, runDir, qmp, ...options });
  } catch {
    return undefined; // It ended meanwhile.
  }
}

/** The socket file appears a moment before QEMU listens on it. */
async function openQmp(path: string, clock: Clock, attempts = 100): Promise<QmpClient> {
  try {
    return await QmpClient.open(path);
  } catch (error) {
    if (attempts === 0) throw error;
    await clock.after(2);
    return await openQmp(path, clock, attempts - 1);
  }
}
