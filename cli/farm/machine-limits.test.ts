import { expect, test } from 'vitest';
import { suitableLimits } from './machine-limits.ts';

const GIB = 2 ** 30;

test.each([
  ['two cores', { cores: 2, memoryBytes: 8 * GIB, freeDiskBytes: 100 * GIB }, [4, 4, 8, 8 * GIB]],
  ['a server', { cores: 64, memoryBytes: 256 * GIB, freeDiskBytes: 2_000 * GIB }, [32, 8, 256, 256 * GIB]],
  ['little disk', { cores: 8, memoryBytes: 32 * GIB, freeDiskBytes: 13 * GIB }, [3, 8, 32, 32 * GIB]],
  // One machine of the default size runs everywhere.
  ['little of everything', { cores: 1, memoryBytes: 2 * GIB, freeDiskBytes: GIB }, [2, 2, 8, 4 * GIB]],
])('limits for %s', (_what, machine, [vms, imports, cpu, memoryBytes]) => {
  expect(suitableLimits(machine)).toEqual({ vms, imports, cpu, memoryBytes });
});
