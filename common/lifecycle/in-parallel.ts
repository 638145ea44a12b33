import { anySignal } from './any-signal.ts';

/** An async function that ends when its signal is aborted. */
export type Task = (signal: AbortSignal) => Promise<unknown>;

/**
 * Runs tasks side by side; when one fails the others are aborted and waited for, and its error is thrown: no task goes
 * on behind the caller's back.
 */
export async function inParallel(signal: AbortSignal, ...tasks: readonly Task[]): Promise<void> {
  const siblings = new AbortController();
  const shared = anySignal(signal, siblings.signal);
  const failures: unknown[] = [];
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(shared);
      } catch (error) {
        failures.push(error);
        siblings.abort(new Error('A sibling failed.'));
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}
