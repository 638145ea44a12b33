import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type Confiner, FIRST_USER } from '../host/confinement.ts';
import { shareDirectory, shareFiles } from '../host/shared-directory.ts';
import { kvmAccess } from './launch.ts';
import { PROBE_MARK, probeDisk } from './probe-disk.ts';

/** How long the guest of the probe may take; with hardware virtualisation it takes less than a second, on a busy machine a few. */
const DEADLINE_MS = 10_000;

const DISK = 'disk.raw';

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
 * Whether guests run under KVM here, found out by starting one: the device file may exist and open where no guest ever runs, where
 * only the firmware runs, or only with another processor than the one that machines get. The answer holds until the host is booted again.
 */
export async function probeKvm({ directory, confiner, clock, logger }: ProbeOptions): Promise<boolean> {
  const memory = join(directory, 'kvm-guest.json');
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  try {
    const known = JSON.parse(await readFile(memory, 'utf8')) as { bootId: string; works: boolean };
    if (known.bootId === bootId) return known.works;
  } catch {
    // Never asked, or cut off while the answer was written: ask.
  }
  const trial = join(directory, 'kvm-probe');
  const works = await guestRuns(trial, { accelerator: 'kvm', confiner, clock });
  logger.info({ kvm: works }, 'The accelerator has been probed');
  await writeFile(memory, JSON.stringify({ bootId, works }));
  return works;
}

/** Whether the guest of the probe gets as far as systems do when they start. The directory is made, and gets its disk. */
export async function guestRuns(
  directory: string,
  { accelerator, confiner, clock }: Pick<ProbeOptions, 'confiner' | 'clock'> & { readonly accelerator: 'kvm' | 'tcg' },
): Promise<boolean> {
  const access = accelerator === 'kvm' ? await kvmAccess().catch(() => undefined) : {};
  if (!access) return false;
  const user = confiner.userOf({ user: FIRST_USER });
  await shareDirectory(directory, user);
  await writeFile(join(directory, DISK), probeDisk());
  await shareFiles(directory, user);
  const how = { user: FIRST_USER, directory, hasNetwork: false, endsWithServer: true, ...access };
  const [command = '', ...args] = confiner.command(['qemu-system-x86_64', ...probeArguments(accelerator)], how);
  const child = spawn(command, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const deadline = new AbortController();
  const ended = new Promise<boolean>((resolve) => {
    let written = '';
    child.stdout.on('data', (bytes: Buffer) => {
      written = (written + bytes.toString('latin1')).slice(-PROBE_MARK.length - bytes.length);
      if (written.includes(PROBE_MARK)) resolve(true);
    });
    // QEMU pauses a machine whose processor cannot go on, and stays.
    child.stderr.on('data', (bytes: Buffer) => bytes.includes('KVM internal error') && resolve(false));
    child.once('close', () => resolve(false));
    child.once('error', () => resolve(false));
  });
  const late = clock.after(DEADLINE_MS, deadline.signal).then(
    () => false,
    () => false,
  );
  const runs = await Promise.race([ended, late]);
  deadline.abort();
  child.kill('SIGKILL');
  return runs;
}

/** The board and processor of machines, with the debug port, to which SeaBIOS writes, too. */
function probeArguments(accelerator: 'kvm' | 'tcg'): string[] {
  return [
    ...['-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max', '-machine', 'q35', '-m', '32'],
    ...['-nodefaults', '-display', 'none', '-no-reboot', '-boot', 'strict=on'],
    ...['-chardev', 'stdio,id=debug', '-device', 'isa-debugcon,iobase=0x402,chardev=debug'],
    ...['-drive', `if=none,id=disk,format=raw,readonly=on,file=${DISK}`],
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
  ];
}
