import { expect, test } from 'vitest';
import { simulate } from './simulate.ts';

const SCENARIO = { seed: 11, clusters: 2, modulesPerCluster: 16, owners: 2, outages: 1, losses: 0.05 };

test('outages and lost workers cost a simulated farm time only, and the same seed is the same run', async () => {
  const report = await simulate(SCENARIO);
  expect(report).toMatchObject({ modules: 32, violations: 0, twice: 0, failed: 0 });
  expect(report.overBound.worst).toBeGreaterThanOrEqual(1);
  expect(report.waits.longest).toBeGreaterThan(0);
  expect(await simulate(SCENARIO)).toEqual(report);
}, 120_000);
