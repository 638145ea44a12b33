import fc from 'fast-check';
import type { Target } from './targets.ts';

/** Inputs that one seed stands for. */
export const BATCH = 100;
/** Of the processor: other work on the machine does not count. */
const MOST_MS = 1_000;
/** Making a bad input small may take as long as it likes, but not forever. */
const SHRINKING_MS = 60_000;

export interface BatchResult {
  /** By what became of them. */
  readonly counts: { taken: number; refused: number };
  readonly slowestMs: number;
  /** What was found, and the smallest input that shows it; undefined where all went well. */
  readonly found?: { readonly message: string; readonly input: unknown };
}

/** Shows a target one input. Throws when it takes too long, and for what must not happen. */
export async function judgeInTime<Input>({ judge }: Target<Input>, input: Input) {
  const before = process.cpuUsage();
  const verdict = await judge(input);
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  if (ms > MOST_MS) throw new Error(`It took ${Math.round(ms)} ms of the processor, of at most ${MOST_MS} ms.`);
  return { verdict, ms };
}

/** Shows a target the inputs of a seed: the same seed makes the same ones, on every machine. */
export async function runBatch(target: Target, seed: number): Promise<BatchResult> {
  const counts = { taken: 0, refused: 0 };
  let slowestMs = 0;
  const property = fc.asyncProperty(target.inputs, async (input) => {
    const { verdict, ms } = await judgeInTime(target, input);
    slowestMs = Math.max(slowestMs, ms);
    counts[verdict] += 1;
  });
  const details = await fc.check(property, { seed, numRuns: BATCH, interruptAfterTimeLimit: SHRINKING_MS });
  if (!details.failed || details.counterexample === null) return { counts, slowestMs };
  const { errorInstance } = details;
  const message =
    errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance);
  return { counts, slowestMs, found: { message, input: details.counterexample[0] } };
}
