import { expect, test } from 'vitest';
import { atMost } from './at-most.ts';

test('runs a few at once, the others in order, and continues after a failure', async () => {
  const limited = atMost(2);
  const started: number[] = [];
  const ends: ((failure?: Error) => void)[] = [];
  const run = (id: number) =>
    limited(() => {
      started.push(id);
      return new Promise<number>((resolve, reject) =>
        ends.push((failure) => (failure ? reject(failure) : resolve(id))),
      );
    });
  const all = Promise.allSettled([1, 2, 3, 4].map(run));
  expect(started).toEqual([1, 2]);
  ends[1]?.(new Error('it failed'));
  await expect.poll(() => started).toEqual([1, 2, 3]);
  for (const index of [0, 2]) ends[index]?.();
  await expect.poll(() => started).toEqual([1, 2, 3, 4]);
  ends[3]?.();
  expect((await all).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
});
