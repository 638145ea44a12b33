import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type Confiner, FIRST_USER } from '../host/confinement.ts';
import { kvmAccess } from './launch.ts';

/** How long the firmware of the probe may take to speak; with hardware virtualisation it takes 0.1 s. */
const DEADLINE_MS = 3_000;

/** Input of the probe, and the file of its result. */
export interface ProbeOptions {
  /** Existing or new directory for the remembered answer. */
  readonly directory: string;
  /** As of machines: what works for root may not for them. */
  readonly confiner: Confiner;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Whether KVM truly works here, found out by starting the firmware of an empty machine under it: the device file may
 * exist and open where no guest ever runs, or only with another processor than the one that machines get. The answer holds until the host is booted again.
 */
export async function probeKvm({ directory, confiner, clock, logger }: ProbeOptions): Promise<boolean> {
  const memory = join(directory, 'kvm-probe.json');
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  try {
    const known = JSON.parse(await readFile(memory, 'utf8')) as { bootId: string; works: boolean };
    if (known.bootId === bootId) return known.works;
  } catch {
    // Never asked, or cut off while the answer was written: ask.
  }
  const trial = join(directory, 'kvm-probe');
  await mkdir(trial, { recursive: true });
  const works = await firmwareSpeaks(trial, confiner, clock);
  logger.info({ kvm: works }, 'The accelerator has been probed');
  await writeFile(memory, JSON.stringify({ bootId, works }));
  return works;
}

/** SeaBIOS writes its name to the debug port first of all. */
async function firmwareSpeaks(directory: string, confiner: Confiner, clock: Clock): Promise<boolean> {
  const access = await kvmAccess().catch(() => undefined);
  if (!access) return false;
  const debugPort = ['-chardev', 'stdio,id=debug', '-device', 'isa-debugcon,iobase=0x402,chardev=debug'];
  const machine = ['-accel', 'kvm', '-cpu', 'host', '-machine', 'q35', '-m', '32', '-nodefaults', '-display', 'none'];
  const how = { user: FIRST_USER, directory, hasNetwork: false, endsWithServer: true, ...access };
  const [command = '', ...args] = confiner.command(['qemu-system-x86_64', ...machine, ...debugPort], how);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const deadline = new AbortController();
  const spoke = new Promise<boolean>((resolve) => {
    child.stdout.once('data', () => resolve(true));
    child.once('close', () => resolve(false));
    child.once('error', () => resolve(false));
  });
  const late = clock.after(DEADLINE_MS, deadline.signal).then(
    () => false,
    () => false,
  );
  const works = await Promise.race([spoke, late]);
  deadline.abort();
  child.kill('SIGKILL');
  return works;
}
