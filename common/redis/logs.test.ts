import { expect, test } from 'vitest';
import { type FarmState, newId, sampleFailure } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { StoredEvent } from '../contracts/events.ts';
import type { PhaseClaim, PhaseStore } from '../contracts/phase-store.ts';
import { REDIS_PREFIX } from '../contracts/phases.ts';
import { readEvents, readLastEventId, readPastEvents } from './event-streams.ts';
import { KEYS } from './keys.ts';
import { createPhaseStore } from './phase-store.ts';
import { readSerial } from './serial-logs.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

const say = (claim: PhaseClaim, line: string, store = farm.store) =>
  store.emit(claim, { event: 'log', module: 'base', vm: 'vm', phase: 'import', source: 'step', line });

const submit = (name: string) => farm.submit([sampleModule({ name, layerKey: 'k', layerBuild: newId() })]);

async function past(buildId: string, lastEventId = '0'): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of readPastEvents(farm.redis, { buildId, lastEventId })) events.push(event);
  return events;
}

const linesOf = (events: StoredEvent[]) => events.flatMap((event) => (event.event === 'log' ? event.line : []));

test('lines are stored once, together, and reported to each build under its own name of the module', async () => {
  const first = await submit('base');
  const joined = await submit('twin');
  const claim = await farm.claim((await farm.take())[0]);
  await Promise.all(['one', 'two', 'three'].map((line) => say(claim, line)));
  expect(await farm.redis.xlen(KEYS.layerBuildLog(claim.job.layerBuild))).toBe(1);
  for (const [{ buildId }, module] of [
    [first, 'base'],
    [joined, 'twin'],
  ] as const) {
    const lines = (await past(buildId)).filter(({ event }) => event === 'log');
    expect(lines).toMatchObject([
      { module, line: 'one' },
      { module, line: 'two' },
      { module, line: 'three' },
    ]);
  }
});

test('a reader that was cut off in the middle of them continues with the next line', async () => {
  const { buildId } = await submit('base');
  const claim = await farm.claim((await farm.take())[0]);
  await Promise.all(['one', 'two', 'three'].map((line) => say(claim, line)));
  await say(claim, 'four');
  const events = await past(buildId);
  const second = events.find((event) => event.event === 'log' && event.line === 'two');
  expect(linesOf(await past(buildId, second?.id))).toEqual(['three', 'four']);
  expect(linesOf(await past(buildId, await readLastEventId(farm.redis, buildId)))).toEqual([]);
  const reader = farm.redis.duplicate({ enableOfflineQueue: true });
  const live: StoredEvent[] = [];
  const position = { buildId, lastEventId: second?.id ?? '' };
  for await (const event of readEvents(reader, position, new AbortController().signal)) {
    if (event) live.push(event);
    if (live.length === 2) break;
  }
  reader.disconnect();
  expect(linesOf(live)).toEqual(['three', 'four']);
});

test('the events of a step come after its output lines, also when the lines were not awaited', async () => {
  const { buildId } = await submit('base');
  const claim = await farm.claim((await farm.take())[0]);
  const line = say(claim, 'last words');
  const step = { module: 'base', vm: 'vm', step: 0, name: null, type: 'shell' };
  await farm.store.emit(claim, { event: 'step-finished', ...step, outcome: 'succeeded', exitCode: 0, durationMs: 1 });
  await line;
  expect((await past(buildId)).slice(-2).map(({ event }) => event)).toEqual(['log', 'step-finished']);
});

test('of a log that grows without end the last part is kept, and lines of a superseded claim are refused', async () => {
  const { buildId } = await submit('base');
  const claim = await farm.claim((await farm.take())[0]);
  const long = 'x'.repeat(60_000);
  for (let part = 0; part < 12; part += 1) {
    await Promise.all(Array.from({ length: 40 }, (_, line) => say(claim, `${part}/${line} ${long}`)));
  }
  const kept = Number(await farm.redis.hget(KEYS.layerBuild(claim.job.layerBuild), 'logBytes'));
  expect(kept).toBeLessThanOrEqual(16 * 1024 ** 2);
  expect(kept).toBeGreaterThan(15 * 1024 ** 2);
  const lines = linesOf(await past(buildId));
  expect(lines.at(-1)).toMatch(/^11\/39 /);
  // Missing lines are reported once.
  expect(lines.filter((line) => line.startsWith('['))).toEqual([expect.stringContaining('(logs.layer)')]);
  expect(lines[0]).toContain('left out');
  await farm.succeed(claim);
  const next = await farm.claim((await farm.take())[0]);
  await expect(say({ ...next, fence: 'another' }, 'late')).rejects.toMatchObject({ code: 'Superseded' });
});

const KIB = 1024;

/** What has been counted, in all and by work. */
const counted = async () => ({
  total: Number(await farm.redis.get(`${REDIS_PREFIX}:logs:total`)),
  layerBuilds: await farm.redis.hlen(`${REDIS_PREFIX}:logs`),
});

/** A layer build that prints `lines`, and ends. */
async function ended(
  name: string,
  lines: readonly string[],
  store: PhaseStore,
): Promise<{ buildId: string; layerBuild: string }> {
  const { buildId } = await farm.submit([sampleModule({ name, layerKey: name, layerBuild: newId() })]);
  const claim = await farm.claim((await farm.take())[0]);
  await store.keepSerial(claim, { vmiUid: 'u', lines: [`${name} boots`], readBytes: 1 });
  for (const line of lines) await say(claim, line, store);
  await store.commit(claim, failed);
  await farm.time.pass(10);
  return { buildId, layerBuild: claim.job.layerBuild };
}

const failed = { outcome: 'failed', failure: sampleFailure('StepFailed') } as const;

test('when all logs together grow too large, those of the builds that ended first are removed, with a note', async () => {
  const store = createPhaseStore({ ...farm, logLimits: { layer: 1024 * KIB, total: 100 * KIB } });
  const long = 'x'.repeat(30 * KIB);
  const first = await ended('first', [long], store);
  const second = await ended('second', [long], store);
  const third = await farm.submit([sampleModule({ name: 'third', layerKey: 'third', layerBuild: newId() })]);
  const claim = await farm.claim((await farm.take())[0]);
  await say(claim, long, store);
  expect(linesOf(await past(first.buildId))).toEqual([long]);
  await say(claim, long, store);
  expect(linesOf(await past(first.buildId))).toEqual([expect.stringContaining('(logs.total)')]);
  expect((await readSerial(farm.redis, { layerBuild: first.layerBuild, vm: 'vm', lastId: '0' })).at(-1)).toMatchObject({
    lines: [expect.stringContaining('(logs.total)')],
    ended: true,
  });
  expect(linesOf(await past(second.buildId))).toEqual([long]);
  // A log that runs makes its own room when nothing that has ended is left.
  for (let line = 0; line < 4; line += 1) await say(claim, long, store);
  expect(linesOf(await past(second.buildId))).toEqual([expect.stringContaining('(logs.total)')]);
  expect(linesOf(await past(third.buildId)).map((line) => line.length > 1000)).toEqual([false, true, true, true]);
  expect((await counted()).total).toBeLessThanOrEqual(100 * KIB);
});

test('what is forgotten with the record of its build counts no longer', async () => {
  const { store } = farm;
  await ended('first', ['a', 'b'], store);
  await ended('second', ['c'], store);
  expect(await counted()).toMatchObject({ layerBuilds: 2 });
  await farm.time.pass(120_000);
  await farm.submit([sampleModule({ name: 'third', layerKey: 'third', layerBuild: newId() })]);
  const claim = await farm.claim((await farm.take())[0]);
  await say(claim, 'd', store);
  const { total, layerBuilds } = await counted();
  expect(layerBuilds).toBe(1);
  expect(total).toBe(Number(await farm.redis.hget(KEYS.layerBuild(claim.job.layerBuild), 'logBytes')));
});
