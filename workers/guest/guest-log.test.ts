import { expect, test } from 'vitest';
import { GuestLog } from './guest-log.ts';

const KIB = 1024;

/** A log whose clock jumps ahead whenever it is waited for, and how long that was in all. */
function openLog(limits: { step: number; perSecond: number }, offset = 0) {
  const lines: string[] = [];
  const startMs = 1_000_000;
  let nowMs = startMs;
  const clock = {
    now: () => nowMs,
    after: async (ms: number) => {
      nowMs += ms;
    },
  };
  const signal = new AbortController().signal;
  const emit = async (line: string) => void lines.push(line);
  const log = new GuestLog({ emit, mask: (text) => text, limits, clock, signal, offset });
  return { log, lines, waitedMs: () => nowMs - startMs };
}

const LINE = Buffer.from(`${'x'.repeat(KIB - 1)}\n`);

test('of a step with endless output the first part is taken, and a line reports that there was more', async () => {
  const { log, lines } = openLog({ step: 8 * KIB, perSecond: 1024 * KIB });
  for (let line = 0; line < 100; line += 1) await log.push(LINE);
  await log.end();
  expect(lines).toHaveLength(9);
  expect(lines.at(-1)).toMatch(/^\[The output is longer than .*\(logs\.step\); the rest is left out\.\]$/);
});

test('a successor of a lost worker takes no more than the rest of it', async () => {
  const { log, lines } = openLog({ step: 8 * KIB, perSecond: 1024 * KIB }, 6 * KIB);
  for (let line = 0; line < 10; line += 1) await log.push(LINE);
  await log.end();
  expect(lines).toHaveLength(3);
});

test('a guest may exceed the average rate briefly, and is then limited to it', async () => {
  const { log, waitedMs } = openLog({ step: 1024 * KIB, perSecond: 10 * KIB });
  for (let line = 0; line < 20; line += 1) await log.push(LINE);
  expect(waitedMs()).toBeLessThanOrEqual(100);
  for (let line = 0; line < 50; line += 1) await log.push(LINE);
  expect(waitedMs()).toBeGreaterThanOrEqual(5_000);
});
