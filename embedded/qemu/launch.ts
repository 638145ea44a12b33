import { spawn } from 'node:child_process';
import { open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { Confinement, Confiner } from '../host/confinement.ts';
import { findProcesses, killLeftovers } from '../host/processes.ts';
import { shareFiles } from '../host/shared-directory.ts';
import { watchAppearance } from '../host/watch-appearance.ts';
import { machineSockets, qemuArguments } from './command-line.ts';
import { Machine, readQemuErrors } from './machine.ts';
import type { MachineSpec } from './machine-spec.ts';
import { QmpClient } from './qmp-client.ts';

const QEMU = 'qemu-system-x86_64';

/** How a machine is started. */
export interface LaunchOptions {
  readonly spec: MachineSpec;
  /** Path of the network namespace to run in; the host's when absent. */
  readonly networkNamespace?: string;
  readonly confiner: Confiner;
  /** Whom QEMU runs as; the run directory has been shared with it. */
  readonly user: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/**
 * Starts QEMU in a session of its own, at lower priority, so that it outlives the server; resolves when it runs and
 * answers. It is confined: it runs as the machine's own user, and sees the files of the machine only.
 * Rejects when it ends at once, with QEMU's own words where it refused the machine. Nothing of it is left then.
 */
export async function launchMachine(options: LaunchOptions): Promise<Machine> {
  const { spec, networkNamespace, confiner, user, clock, logger, onChange } = options;
  const sockets = machineSockets(spec.runDir);
  await Promise.all([sockets.qmp, sockets.vnc, sockets.serial].map((path) => rm(path, { force: true })));
  // Files that the server reads must be its own.
  const logs = await Promise.all([open(sockets.stderr, 'w'), open(sockets.serialLog, 'a')]);
  await shareFiles(spec.runDir, confiner.userOf({ user }));
  const enter = networkNamespace ? ['nsenter', `--net=${networkNamespace}`] : [];
  const confined = confiner.command([QEMU, ...qemuArguments(spec)], { user, ...(await confinementOf(spec)) });
  const [command = QEMU, ...args] = [...enter, 'nice', '-n', '5', ...confined];
  const [log] = logs;
  const listening = watchAppearance(spec.runDir, sockets.qmp);
  const over = new AbortController();
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
    const ended = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new FarmError('ClusterUnfit', 'QEMU could not be started', { cause })));
      child.once('exit', async (code, killedBy) =>
        reject(endOfStart(await readQemuErrors(spec.runDir), code, killedBy)),
      );
    });
    child.unref();
    const qmp = await Promise.race([listening.appeared.then(() => openQmp(sockets.qmp, clock, over.signal)), ended]);
    ended.catch(() => {}); // From here on the end shows on the control connection.
    return await Machine.follow({ runDir: spec.runDir, qmp, clock, logger, onChange });
  } catch (error) {
    // QEMU has one control connection, which the next start is to have.
    over.abort();
    // Where its wrapper died alone, QEMU has the disks open.
    await killLeftovers(spec.runDir, clock);
    throw error;
  } finally {
    listening.stop();
    for (const file of logs) await file.close();
  }
}

/**
 * Error of a start after which QEMU is gone. Only a status of 1 to 127 is a refusal. A signal is not, nor are the status
 * that a shell or bubblewrap makes of it (128 and more), and that of a QEMU which was asked to end (0): the next start may succeed.
 */
function endOfStart(words: string, code: number | null, killedBy: NodeJS.Signals | null): FarmError {
  if (code !== null && code > 0 && code < 128) return new FarmError('BrokenInvariant', `QEMU: ${words}`);
  const how = killedBy ?? `status ${code}`;
  const end = `The process of the machine ended while it started, with ${how}`;
  return new FarmError('BrokenInvariant', words === '' ? end : `${end}: ${words}`);
}

/** Files of the host that QEMU needs: the images of its drives with their backing files, and two devices. */
async function confinementOf({ runDir, drives, accelerator }: MachineSpec): Promise<Omit<Confinement, 'user'>> {
  // A disk that is being switched to an overlay finds it beside itself.
  const foldersOf = (some: MachineSpec['drives']) => some.flatMap(({ path }) => (path ? [dirname(path)] : []));
  const writable = foldersOf(drives.filter(({ readOnly }) => !readOnly));
  const readable = foldersOf(drives.filter(({ readOnly }) => readOnly));
  return {
    directory: runDir,
    writable: writable.filter((folder) => folder !== runDir),
    readable: [...readable, ...drives.flatMap(({ below = [] }) => below)].filter((path) => path !== runDir),
    ...(accelerator === 'kvm' ? await kvmAccess() : { devices: [TUN] }),
    // Its cards are in the network namespace in which it is started.
    hasNetwork: true,
    endsWithServer: false,
  };
}

/** Network cards of machines are opened by it. */
export const TUN = '/dev/net/tun';
const KVM = '/dev/kvm';

/** The group of the device file may use it. */
export async function kvmAccess(): Promise<Pick<Confinement, 'devices' | 'groups'>> {
  return { devices: [TUN, KVM], groups: [(await stat(KVM)).gid] };
}

/** A QEMU that is alive answers in milliseconds, on a busy machine in seconds. The start of the server waits for it. */
const ANSWER_MS = 15_000;

/**
 * Finds the QEMU process of a run directory after a restart of the server; undefined when it is gone, or answers as no QEMU
 * does: its guest may have taken it over.
 */
export async function adoptMachine(
  runDir: string,
  options: Pick<LaunchOptions, 'clock' | 'logger' | 'onChange'>,
): Promise<Machine | undefined> {
  const processes = await findProcesses(runDir);
  if (!processes.some(({ argv }) => argv[0] === QEMU)) return undefined;
  const [answered, late] = [new AbortController(), new AbortController()];
  void options.clock.after(ANSWER_MS, answered.signal).then(
    () => late.abort(),
    () => {},
  );
  try {
    const qmp = await QmpClient.open(machineSockets(runDir).qmp, late.signal);
    return await Machine.follow({ runDir, qmp, ...options });
  } catch {
    late.abort();
    return undefined;
  } finally {
    answered.abort();
  }
}

/** The socket file appears a moment before QEMU listens on it. */
async function openQmp(path: string, clock: Clock, signal: AbortSignal, attempts = 100): Promise<QmpClient> {
  try {
    return await QmpClient.open(path, signal);
  } catch (error) {
    if (attempts === 0) throw error;
    await clock.after(2, signal);
    return await openQmp(path, clock, signal, attempts - 1);
  }
}
