import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { Confiner } from '../host/confinement.ts';
import { guestRuns } from './probe-kvm.ts';

let directory: string;
let confiner: Confiner;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'probe-kvm-'));
  confiner = await Confiner.open(directory, createLogger({ name: 'probe-kvm', level: 'error' }));
});
afterAll(() => rm(directory, { recursive: true }));

test('the guest of the probe runs where guests run, confined as machines are', async () => {
  const how = { accelerator: 'tcg', confiner, clock: systemClock } as const;
  expect(await guestRuns(join(directory, 'trial'), how)).toBe(true);
});
