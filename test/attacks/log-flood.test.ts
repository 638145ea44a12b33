import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEFAULT_LOG_LIMITS } from '../../common/contracts/log-limits.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { chatter, percentile } from '../harness/chatter.ts';
import { type LoneScheduler, startLoneScheduler } from '../harness/lone-scheduler.ts';

const GUESTS = 20;
const FOR_MS = 6_000;

const resources = new ReleaseStack();
let scheduler: LoneScheduler;

beforeAll(async () => {
  scheduler = await startLoneScheduler(resources);
}, 120_000);

afterAll(() => resources.close());

test('twenty guests that print as fast as they can take their share and leave the farm usable', {
  timeout: 120_000,
}, async ({ annotate }) => {
  const { bytes, pingMs, apiMs, keptBytes } = await chatter(scheduler, { guests: GUESTS, forMs: FOR_MS }, resources);
  const got = `${Math.round(bytes / 1024 ** 2)} MiB read, ${Math.round(keptBytes / 1024 ** 2)} MiB kept`;
  await annotate(
    `${got}; PING p99 ${percentile(pingMs, 99).toFixed(1)} ms, API p99 ${percentile(apiMs, 99).toFixed()} ms`,
  );
  // So much at once and then so much a second; a piece may be on its way.
  const most = GUESTS * (DEFAULT_LOG_LIMITS.perSecond * (FOR_MS / 1000 + 2) + 2 * 64 * 1024);
  expect(bytes).toBeLessThanOrEqual(most);
  expect(keptBytes).toBeGreaterThan(0);
  expect(keptBytes).toBeLessThanOrEqual(DEFAULT_LOG_LIMITS.total);
  expect(apiMs.length).toBeGreaterThan(3);
  expect(percentile(apiMs, 50)).toBeLessThan(2_000);
});
