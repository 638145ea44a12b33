import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FarmState, newId } from '../../test/harness/farm-state.ts';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useSmallPortions } from '../../test/harness/small-portions.ts';
import { PHASES } from '../contracts/phases.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { readBuild } from './builds.ts';
import { useRedis } from './connections.ts';
import { KEYS } from './keys.ts';
import { restoreLayer } from './layers.ts';
import { runScript } from './scripts.ts';
import { cancelBuild, submitBuild } from './submissions.ts';
import { advance } from './tasks.ts';
import { type BuildSubmission, type SubmittedModule, writeSubmission } from './write-submission.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const resources = new ReleaseStack();
let farm: FarmState;
/** A process whose scripts do one layer build at a time, and that dies after any of them. */
let mortal: Redis;

beforeAll(async () => {
  farm = await FarmState.open(resources);
  mortal = await useRedis(resources, { url: farm.server.url, logger }, 'producer');
  useSmallPortions(mortal);
});
beforeEach(() => farm.reset());
afterAll(() => resources.close());

const WIDE = 120;

/** Modules that are based on one, and one that is based on all of them. */
function fan(): SubmittedModule[] {
  const make = (parents: { name: string; layerKey: string }[]) => {
    const id = newId();
    return sampleModule({ name: `m${Number(id)}`, layerKey: `k${id}`, layerBuild: id, parents });
  };
  const root = make([]);
  const middle = Array.from({ length: WIDE }, () => make([root]));
  return [root, ...middle, make(middle)];
}

function request(modules: SubmittedModule[], more: Partial<BuildSubmission> = {}): BuildSubmission {
  return { buildId: newId(), idempotencyKey: null, digest: 'd', retentionMs: 60_000, modules, ...more };
}

/** Sends a submission as `sendSubmission` does, and dies when the farm has all of it. */
async function submitAndDie(submission: BuildSubmission): Promise<void> {
  const [header = '', accepted = '', path = '', ...texts] = writeSubmission(submission);
  const [outcome] = (await runScript(mortal, 'submit', [header, accepted, path, 0, ...texts])) as [string];
  expect(outcome).toBe('submitting');
}

/** One portion by a process that dies after it. */
const stepAndDie = async () => (await runScript(mortal, 'advance', [1])) === 1;

async function outcomes(buildId: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { outcome } of (await readBuild(farm.redis, buildId))?.results.values() ?? []) {
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

test('a build whose process died while it was submitted is not visible until all of it is there', async () => {
  const submission = request(fan());
  await submitAndDie(submission);
  for (let portion = 0; portion < 2 * WIDE; portion += 1) {
    await stepAndDie();
    expect(await readBuild(farm.redis, submission.buildId)).toBeNull();
    expect(await farm.take()).toEqual([]);
  }
  // Its sender asks again, or any scheduler comes by.
  await advance(farm.redis);
  const build = await readBuild(farm.redis, submission.buildId);
  expect(build?.modules.map(({ name }) => name)).toEqual(submission.modules.map(({ name }) => name));
  expect(await submitBuild(farm.redis, submission)).toMatchObject({
    outcome: 'accepted',
    modules: { length: WIDE + 2 },
  });
  expect((await farm.take()).map(({ reference }) => reference.phase)).toEqual(['import']);
  const reported = await farm.eventsSoFar(submission.buildId);
  expect(reported.filter(({ event }) => event === 'build-accepted')).toHaveLength(1);
});

test('a submission that is not whole changes nothing, and is forgotten', async () => {
  const submission = request(fan());
  const [header = '', accepted = '', path = '', ...texts] = writeSubmission(submission);
  expect(await runScript(farm.redis, 'submit', [header, accepted, path, 0, ...texts.slice(0, 20)])).toEqual([
    'staged',
    10,
  ]);
  // The answer was lost.
  expect(await runScript(farm.redis, 'submit', [header, accepted, path, 0, ...texts.slice(0, 20)])).toEqual([
    'staged',
    10,
  ]);
  const keys = await farm.redis.keys('*');
  const lives = await Promise.all(
    keys.filter((key) => key.includes(submission.buildId)).map((key) => farm.redis.pttl(key)),
  );
  expect(lives).toHaveLength(2);
  for (const ms of lives) expect(ms).toBeGreaterThan(0);
  expect(await farm.redis.scard(KEYS.living)).toBe(0);
});

test('a plan that is stale is found before anything is changed', async () => {
  const [root, ...rest] = fan();
  if (!root) throw new Error('The graph has a root.');
  const gone: SubmittedModule = { action: 'reuse', name: 'gone', layerKey: 'g', why: '', dependsOn: [] };
  const reply = await submitBuild(mortal, request([root, ...rest, gone], { idempotencyKey: 'i', submittedBy: 'ci' }));
  expect(reply).toEqual({ outcome: 'stale', layerKey: 'g' });
  expect(await farm.redis.scard(KEYS.living)).toBe(0);
  expect(await farm.redis.exists(KEYS.idempotency('ci', 'i'))).toBe(0);
});

test('a layer that is removed while a build is submitted fails the module that reuses it, and the build ends', async () => {
  await restoreLayer(farm.redis, layerRecord({ layerKey: 'r' }));
  const reused: SubmittedModule = { action: 'reuse', name: 'base', layerKey: 'r', why: '', dependsOn: [] };
  const submission = request([reused, ...fan()]);
  await submitAndDie(submission);
  for (let portion = 0; portion < WIDE + 10; portion += 1) await stepAndDie();
  await farm.redis.hdel(KEYS.layers, 'r');
  await advance(farm.redis);
  expect((await readBuild(farm.redis, submission.buildId))?.results.get('base')).toMatchObject({
    outcome: 'failed',
    failure: { reason: 'ParentFailed' },
  });
});

test('two submissions under one idempotency key are one build, also while the first is not through', async () => {
  const first = request(fan(), { idempotencyKey: 'i', submittedBy: 'ci' });
  await submitAndDie(first);
  const second = { ...first, buildId: newId() };
  expect(await submitBuild(farm.redis, second)).toMatchObject({ outcome: 'existing', buildId: first.buildId });
  expect(await farm.redis.scard(KEYS.living)).toBe(WIDE + 2);
});

test('a failed root ends everything above it, portion by portion, and no build joins a layer build that is bound to fail', async () => {
  const modules = fan();
  const { buildId } = await farm.submit(modules);
  const claim = await farm.claim((await farm.take())[0]);
  await farm.fail(claim, 'StepFailed');
  const [root, first] = modules;
  const again = request([
    { ...root, layerBuild: newId() } as SubmittedModule,
    { ...first, layerBuild: newId() } as SubmittedModule,
  ]);
  expect(await submitBuild(mortal, again)).toMatchObject({ modules: [{ action: 'build' }, { action: 'build' }] });
  while (await stepAndDie());
  expect(await outcomes(buildId)).toEqual({ failed: WIDE + 2 });
  const { results } = (await readBuild(farm.redis, buildId)) ?? {};
  expect(results?.get(modules.at(-1)?.name ?? '')?.failure?.message).toContain(`because "${root?.name}" failed`);
  expect((await farm.eventsSoFar(buildId)).at(-1)).toMatchObject({ event: 'build-finished', outcome: 'failed' });
});

test('what a layer sets free starts once, though processes die between any two portions', async () => {
  await farm.submit(fan());
  for (const _phase of PHASES.slice(1)) await farm.runNext();
  const claim = await farm.claim((await farm.take())[0]);
  await farm.succeed(claim);
  while (await stepAndDie());
  expect(await farm.redis.zcard(KEYS.waiting('lab', 'imports'))).toBe(WIDE);
  expect(await farm.redis.exists('{farm}:tasks')).toBe(0);
});

test('a cancelled build is cancelled to its end by any scheduler, and layer builds that others want continue', async () => {
  const modules = fan();
  const { buildId } = await farm.submit(modules);
  const [root, joined] = modules;
  const other = await farm.submit([
    { ...root, layerBuild: newId() } as SubmittedModule,
    { ...joined, layerBuild: newId() } as SubmittedModule,
  ]);
  expect(await runScript(mortal, 'cancel-build', [buildId, 'r'])).toBe('cancelled');
  for (let portion = 0; portion < 10; portion += 1) await stepAndDie();
  expect((await readBuild(farm.redis, buildId))?.state).toBe('queued');
  await advance(farm.redis);
  expect(await outcomes(buildId)).toEqual({ cancelled: WIDE + 2 });
  expect(await farm.redis.scard(KEYS.living)).toBe(2);
  expect(await readBuild(farm.redis, other.buildId)).toMatchObject({ state: 'queued' });
  expect(await cancelBuild(farm.redis, other.buildId)).toBe(true);
  expect(await farm.redis.scard(KEYS.living)).toBe(0);
});

test('what grows with a build is sent once, and no portion makes more requests than 20 modules need', async () => {
  const criticalPath = Array.from({ length: 1_000 }, (_, index) => `${index}/vm/import`);
  const submission = request(fan(), { criticalPath });
  const [header = '', ...others] = writeSubmission(submission);
  expect(header.length).toBeLessThan(500);
  const submitted = await portions('submit', [header, ...others.slice(0, 2), 0, ...others.slice(2)]);
  expect((await readBuild(farm.redis, submission.buildId))?.criticalPath).toEqual(criticalPath);
  const cancelled = await portions('cancel-build', [submission.buildId, 'x']);
  expect(await outcomes(submission.buildId)).toEqual({ cancelled: WIDE + 2 });
  for (const requests of [submitted, cancelled]) {
    expect(requests.length).toBeGreaterThan(WIDE / 20);
    expect(Math.max(...requests)).toBeLessThan(1_200);
  }
});

/** Requests of a script, and of each portion that is left then, to the server. */
async function portions(name: 'submit' | 'cancel-build', args: readonly (string | number)[]): Promise<number[]> {
  const requests: number[] = [];
  const count = async (run: () => Promise<unknown>) => {
    await farm.redis.config('RESETSTAT');
    const reply = await run();
    const stats = await farm.redis.info('commandstats');
    requests.push([...stats.matchAll(/:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0));
    return reply;
  };
  await count(() => runScript(farm.redis, name, args));
  while ((await count(() => runScript(farm.redis, 'advance', []))) === 1);
  return requests;
}
