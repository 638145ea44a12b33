import { existsSync, statfsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { DEFAULTS } from '../../common/contracts/module/defaults.ts';

/** Limits of a farm on its cluster. */
export interface FarmLimits {
  readonly vms: number;
  readonly imports: number;
  /** Virtual cores of all machines together. */
  readonly cpu: number;
  readonly memoryBytes: number;
}

/** Resources of a machine for a farm. */
export interface MachineSize {
  readonly cores: number;
  readonly memoryBytes: number;
  /** Free where the farm keeps its disks. */
  readonly freeDiskBytes: number;
}

/** Guests mostly wait: for downloads, for disks, for each other. */
const VIRTUAL_CORES = 4;
const LEAST_CORES = 8;
const MACHINES_OF_A_CORE = 2;
const MACHINES = { least: 2, most: 32 } as const;
/** An ordinary installation writes this much; disks are thin, so their sizes do not count. */
const DISK_OF_A_MACHINE = 4 * 2 ** 30;

/**
 * Limits that suit a machine. Cores are shared four ways; memory is not, since guests fill theirs in time, but one
 * machine of the default size always fits.
 */
export function suitableLimits({ cores, memoryBytes, freeDiskBytes }: MachineSize): FarmLimits {
  const byDisk = Math.floor(freeDiskBytes / DISK_OF_A_MACHINE);
  const byCores = Math.max(4, cores * MACHINES_OF_A_CORE);
  return {
    vms: clamp(Math.min(byDisk, byCores), MACHINES),
    imports: clamp(cores * MACHINES_OF_A_CORE, { least: 2, most: 8 }),
    cpu: Math.max(LEAST_CORES, cores * VIRTUAL_CORES),
    memoryBytes: Math.max(DEFAULTS.memoryBytes, memoryBytes),
  };
}

/** This machine; of a container with a limit of memory, the limit. `folder` need not exist yet. */
export function measureMachine(folder: string): MachineSize {
  const constrained = process.constrainedMemory() ?? 0;
  const total = totalmem();
  return {
    cores: availableParallelism(),
    memoryBytes: constrained > 0 && constrained < total ? constrained : total,
    freeDiskBytes: freeBytes(folder),
  };
}

/** Free bytes of the file system that `folder` is on, or will be. */
export function freeBytes(folder: string): number {
  let path = folder;
  while (!existsSync(path)) path = dirname(path);
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function clamp(value: number, { least, most }: { readonly least: number; readonly most: number }): number {
  return Math.min(most, Math.max(least, value));
}
