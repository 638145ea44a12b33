import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type ModelFarm, openModelFarm } from './model-farm.ts';
import { property } from './play.ts';

const resources = new ReleaseStack();
let farm: ModelFarm;
beforeAll(async () => {
  farm = await openModelFarm(resources);
});
afterAll(() => resources.close());

const SEEDS = [
  { name: 'the seed of always', runs: { numRuns: 30, seed: 42 } },
  { name: 'another seed each time', runs: { numRuns: 10 } },
];

test.each(SEEDS)(
  'after any events in any order, layer builds stand and end as in the model: $name',
  ({ runs }) => fc.assert(property(farm), { ...runs, endOnFailure: true }),
  180_000,
);
