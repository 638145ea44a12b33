import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { describeAttempt } from '../contracts/attempt.ts';
import { redispatch } from './dispatches.ts';
import { reportTrouble } from './slots.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

async function submit(retries = 0): Promise<string> {
  const base = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId(), retries });
  return (await farm.submit([base])).buildId;
}

async function next() {
  // What is tried again waits a moment first.
  let jobs = await farm.take();
  while (jobs.length === 0) {
    await farm.time.pass(1_000);
    await farm.advertise();
    jobs = await farm.take();
  }
  return farm.claim(jobs[0]);
}

/** How the starts of phases are reported to people. */
async function starts(buildId: string): Promise<string[]> {
  const events = await farm.eventsSoFar(buildId);
  return events.flatMap((event) =>
    event.event === 'phase-started' ? [`${event.phase} ${describeAttempt(event)}`.trimEnd()] : [],
  );
}

test('a phase that another worker takes over reports it once, with the number of attempts', async () => {
  const buildId = await submit();
  const claim = await next();
  await farm.claim({ reference: claim.job, cluster: 'lab', priority: 1 }, 'w2');
  const fence = randomUUID();
  for (let asked = 0; asked < 2; asked += 1) await farm.store.claim(claim.job, 'w3', fence);
  const begun = ['import', 'import attempt 2 of 10: worker lost', 'import attempt 3 of 10: worker lost'];
  expect(await starts(buildId)).toEqual(begun);
  const again = await redispatch(farm.redis, claim.job);
  await farm.claim(again ?? undefined);
  expect(await starts(buildId)).toEqual([...begun, 'import attempt 4 of 10: worker lost']);
});

test('trouble of the farm is counted, planned stops and outages are not', async () => {
  const buildId = await submit();
  await farm.fail(await next(), 'Fault');
  await farm.store.commit(await next(), { outcome: 'requeue', afterMs: 0, why: 'Draining', isPlanned: true });
  const claim = await next();
  await reportTrouble(farm.redis, 'lab', 'It does not answer.');
  await farm.fail(claim, 'Fault');
  await reportTrouble(farm.redis, 'lab', null);
  await next();
  expect(await starts(buildId)).toEqual([
    'import',
    'import attempt 2 of 6: fault',
    'import attempt 3: worker stopped',
    'import attempt 4: cluster away',
  ]);
});

test('every phase of a module that starts again reports the reason and the number of attempts', async () => {
  const buildId = await submit(1);
  await farm.succeed(await next());
  await farm.fail(await next(), 'GuestCrashed');
  await farm.succeed(await next());
  await farm.fail(await next(), 'StepFailed');
  await next();
  expect(await starts(buildId)).toEqual([
    'import',
    'boot-keystrokes',
    'import attempt 2 of 3: guest crashed',
    'boot-keystrokes attempt 2 of 3: guest crashed',
    'import attempt 2 of 2: step failed',
  ]);
});
