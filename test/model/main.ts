import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { openModelFarm } from './model-farm.ts';
import { property } from './play.ts';

/*
 * Plays random happenings to the farm's scripts and to a model of them: `--runs N`, `--seed S`. What differs is printed with the
 * happenings that led there, as few as can be found, and the line that plays them again.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    /** Of a run that failed: the smallest happenings that were found. */
    path: { type: 'string' },
  },
});
/** Limit for shrinking a fault. */
const SHRINKING_MS = 300_000;
await using resources = new ReleaseStack();
const farm = await openModelFarm(resources);
const seed = Number(values.seed);
const start = performance.now();
const runs = { seed, numRuns: Number(values.runs), ...(values.path ? { path: values.path } : {}) };
const details = await fc.check(property(farm), { ...runs, interruptAfterTimeLimit: SHRINKING_MS });
console.log(`seed ${seed}, ${details.numRuns} runs in ${Math.round((performance.now() - start) / 1000)} s`);
if (details.failed && details.counterexample) {
  const { errorInstance, counterexample, counterexamplePath } = details;
  console.error(errorInstance instanceof Error ? errorInstance.stack : String(errorInstance));
  console.error(fc.stringify(counterexample[0]));
  console.error(`again: npm run model -- --seed ${seed} --path ${counterexamplePath}`);
  process.exitCode = 1;
}
