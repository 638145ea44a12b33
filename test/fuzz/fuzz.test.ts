import { expect, test } from 'vitest';
import { FOUND } from './found.ts';
import { BATCH, judgeInTime, runBatch } from './run-target.ts';
import { openTargets } from './targets.ts';

const targets = openTargets();

test.each([...targets])('%s bears what strangers may send', { timeout: 120_000 }, async (_name, target) => {
  const { counts, found } = await runBatch(target, 1);
  expect(found).toBeUndefined();
  expect(counts.taken + counts.refused).toBe(BATCH);
});

test.each(FOUND)('%s bears what it once did not: %s', async (name, _what, input) => {
  const target = targets.get(name);
  expect(target && (await judgeInTime(target, input))).toBeDefined();
});
