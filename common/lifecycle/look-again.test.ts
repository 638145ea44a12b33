import { expect, test } from 'vitest';
import { createLogger } from '../logging/logger.ts';
import { lookAgain, type Wake } from './look-again.ts';

/** Looks until the script of outcomes is over, on a clock whose waits end at once; gives the waits and the log. */
async function looksOf(outcomes: readonly (number | null | Error)[]) {
  const waits: number[] = [];
  const lines: string[] = [];
  const logger = createLogger({ name: 'test', level: 'debug', destination: { write: (line) => lines.push(line) } });
  const stopping = new AbortController();
  const left = [...outcomes];
  const look = async () => {
    const [outcome] = left.splice(0, 1);
    if (left.length === 0) stopping.abort();
    if (outcome instanceof Error) throw outcome;
    return outcome ?? null;
  };
  const clock = { now: () => 0, after: async (ms: number) => void waits.push(ms) };
  await lookAgain(
    { what: 'Dispatch', fields: { cluster: 'lab' }, look, everyMs: 30_000, clock, logger },
    stopping.signal,
  );
  const log = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { waits, log: log.map(({ level, msg, failures, cluster }) => [level, msg, failures, cluster]) };
}

test('looks at the time that the last look returned, at the latest after the safety interval', async () => {
  expect((await looksOf([5_000, null, 0, 60_000, 1])).waits).toEqual([5_000, 30_000, 30_000]);
});

test('repeats a failed look with growing pauses, and logs the beginning and the end of trouble', async () => {
  const lost = new Error('no connection');
  const { waits, log } = await looksOf([lost, lost, lost, lost, lost, lost, 100, lost, null]);
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 100, 1_000]);
  const loud = log.filter(([level]) => level !== 20);
  expect(loud).toEqual([
    [40, 'Dispatch failed; retrying', 1, 'lab'],
    [30, 'Dispatch succeeded again', 6, 'lab'],
    [40, 'Dispatch failed; retrying', 1, 'lab'],
    [30, 'Dispatch succeeded again', 1, 'lab'],
  ]);
});

test('a ring wakes it, also one that came while it looked; the end of its signal stops it and the ringing', async () => {
  const stopping = new AbortController();
  let ring = () => {};
  let isListening = false;
  const wake: Wake = (given, signal) => {
    ring = given;
    isListening = true;
    signal.addEventListener('abort', () => {
      isListening = false;
    });
  };
  let looks = 0;
  const look = async () => {
    looks += 1;
    if (looks === 1) ring();
    return null;
  };
  // A wait ends with its signal only.
  const after = (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  const logger = createLogger({ name: 'test', level: 'silent' });
  const clock = { now: () => 0, after };
  const looking = lookAgain({ what: 'A look', look, everyMs: 1_000, wake: [wake], clock, logger }, stopping.signal);
  await expect.poll(() => looks).toBe(2);
  ring();
  await expect.poll(() => looks).toBe(3);
  expect(isListening).toBe(true);
  stopping.abort();
  await looking;
  expect([looks, isListening]).toEqual([3, false]);
});
