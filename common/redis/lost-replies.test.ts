import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FarmState, newId } from '../../test/harness/farm-state.ts';
import { type LossyRedis, openLossyRedis } from '../../test/harness/lossy-redis.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useVirtualTime } from '../../test/harness/virtual-redis-time.ts';
import type { FarmEvent } from '../contracts/events.ts';
import type { HandbuildEvent, PhaseStore } from '../contracts/phase-store.ts';
import { PHASES } from '../contracts/phases.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { redispatch, takeReady } from './dispatches.ts';
import { continueHandbuild } from './handbuilds.ts';
import { KEYS } from './keys.ts';
import { createPhaseStore } from './phase-store.ts';
import { readSerial } from './serial-logs.ts';
import { cancelBuild, submitBuild } from './submissions.ts';
import { createToken, readTokens } from './tokens.ts';

const LAB = { cluster: 'lab', limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 } };
const resources = new ReleaseStack();
let farm: FarmState;
let way: LossyRedis;
/** A process of the farm whose next answer may be lost. */
let unlucky: Redis;
let store: PhaseStore;

beforeAll(async () => {
  farm = await FarmState.open(resources);
  way = await openLossyRedis(resources, farm.server.url);
  const logger = createLogger({ name: 'test', level: 'silent' });
  unlucky = await useRedis(resources, { url: way.url, logger }, 'producer');
  useVirtualTime(unlucky);
  store = createPhaseStore({ redis: unlucky, notices: farm.notices, firstBackoffMs: 1 });
});
beforeEach(() => farm.reset());
afterAll(() => resources.close());

/** Runs something whose answer is lost, so that it is carried out twice. */
async function twice<T>(run: () => Promise<T>): Promise<T> {
  await expect.poll(() => unlucky.status).toBe('ready');
  const before = way.lost;
  way.loseNextAnswer();
  const answer = await run();
  expect(way.lost).toBe(before + 1);
  return answer;
}

const base = () => sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });

test('a submission that was carried out and sent again answers as the first one did, and the build ends', async () => {
  const module = base();
  const child = sampleModule({ name: 'child', layerKey: 'k2', layerBuild: newId(), parents: [module] });
  const request = { buildId: newId(), idempotencyKey: null, digest: '', retentionMs: 60_000 };
  const reply = await twice(() => submitBuild(unlucky, { ...request, modules: [module, child] }));
  expect(reply).toMatchObject({ outcome: 'accepted', modules: [{ action: 'build' }, { action: 'build' }] });
  for (const _phase of [...PHASES, ...PHASES]) await farm.runNext();
  const events = await farm.events(request.buildId);
  expect(events.filter(({ event }) => event === 'build-accepted')).toHaveLength(1);
  expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
});

test('a claim that was sent again is one claim, and is not superseded', async () => {
  await farm.submit([base()]);
  const [job] = await farm.take();
  const claim = job && (await twice(() => store.claim(job.reference, 'w1')));
  if (!claim) throw new Error('The job is there to be claimed.');
  expect(claim).toMatchObject({ epoch: 1, formerClaims: 0 });
  await store.assertCurrent(claim);
  await twice(() => store.commit(claim, { outcome: 'succeeded' }));
  expect((await farm.take()).map(({ reference }) => reference.phase)).toEqual(['boot-keystrokes']);
});

test('what was taken for dispatch while the answer was lost is dispatched soon', async () => {
  await farm.submit([base()]);
  expect((await twice(() => takeReady(unlucky, LAB))).jobs).toEqual([]);
  await farm.time.pass(5_001);
  const [job] = await farm.take();
  expect(job?.reference).toMatchObject({ phase: 'import', dispatch: 1 });
  const lost = await farm.claim(job);
  expect(await twice(() => redispatch(unlucky, lost.job))).toBeNull();
  await farm.time.pass(5_001);
  expect((await farm.take())[0]?.reference).toMatchObject({ dispatch: 2 });
});

test('a cancellation that was sent again has cancelled', async () => {
  const { buildId } = await farm.submit([base()]);
  expect(await twice(() => cancelBuild(unlucky, buildId))).toBe(true);
  expect(await farm.redis.hget(KEYS.build(buildId), 'state')).toBe('cancelled');
});

test('a token whose making was sent again is made, and is one', async () => {
  const created = await twice(() => createToken(unlucky, { name: 'ci', role: 'builder', createdBy: 'root' }));
  expect(await readTokens(farm.redis)).toMatchObject([{ name: 'ci', createdAt: created.createdAt }]);
  await expect(createToken(farm.redis, { name: 'ci', role: 'builder', createdBy: 'root' })).rejects.toMatchObject({
    code: 'NameTaken',
  });
});

test('steps and serial lines that were sent twice are stored once', async () => {
  const { buildId } = await farm.submit([base()]);
  const claim = await farm.claim((await farm.take())[0]);
  const step = { module: 'base', vm: 'vm', step: 0, name: null, type: 'shell' };
  await twice(() => store.emit(claim, { event: 'step-started', ...step }));
  await farm.time.pass(30_000);
  // A worker that has taken over begins to count by itself.
  await store.emit(claim, { event: 'step-started', ...step });
  const finished: FarmEvent = { event: 'step-finished', ...step, outcome: 'succeeded', exitCode: 0, durationMs: 7 };
  await twice(() => store.emit(claim, finished));
  const steps = (await farm.eventsSoFar(buildId)).filter(({ event }) => event.startsWith('step-'));
  expect(steps).toMatchObject([{ event: 'step-started' }, { event: 'step-finished', durationMs: expect.any(Number) }]);
  expect(steps[1]).toSatisfy(({ durationMs }) => durationMs >= 30_000);

  await twice(() => store.keepSerial(claim, { vmiUid: 'u', lines: ['login:'], readBytes: 7 }));
  const { layerBuild, vm } = claim.job;
  expect(await readSerial(farm.redis, { layerBuild, vm, lastId: '0' })).toHaveLength(1);
});

test('a person who continues a step gets no error that none waits', async () => {
  const module = base();
  await farm.submit([module]);
  const claim = await farm.claim((await farm.take())[0]);
  const step = { module: 'base', vm: 'vm', step: 3, name: null, type: 'handbuild' };
  const waiting: HandbuildEvent = { event: 'handbuild-waiting', ...step, instructions: 'Look.' };
  await store.pause(claim, waiting, null);
  expect(await twice(() => continueHandbuild(unlucky, module.layerBuild, { vm: 'vm' }))).toBe(3);
  expect(await continueHandbuild(unlucky, module.layerBuild, { vm: 'vm' })).toBeNull();
});
