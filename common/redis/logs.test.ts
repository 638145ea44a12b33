import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import type { StoredEvent } from '../contracts/events.ts';
import type { PhaseClaim } from '../contracts/phase-store.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { readEvents, readLastEventId, readPastEvents } from './event-streams.ts';
import { KEYS } from './keys.ts';

const resources = new ReleaseStack();
let farm: FarmState;

beforeAll(async () => {
  farm = await FarmState.open(resources);
});
beforeEach(() => farm.reset());
afterAll(() => resources.close());

const say = (claim: PhaseClaim, line: string) =>
  farm.store.emit(claim, { event: 'log', module: 'base', vm: 'vm', phase: 'import', source: 'step', line });

const submit = (name: string) => farm.submit([sampleModule({ name, layerKey: 'k', layerBuild: newId() })]);

async function past(buildId: string, lastEventId = '0'): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of readPastEvents(farm.redis, { buildId, lastEventId })) events.push(event);
  return events;
}

const linesOf = (events: StoredEvent[]) => events.flatMap((event) => (event.event === 'log' ? event.line : []));

test('lines are stored once, together, and told to each build under its own name of the module', async () => {
  const first = await submit('base');
  const joined = await submit('twin');
  const claim = await farm.claim((await farm.take())[0]);
  await Promise.all(['one', 'two', 'three'].map((line) => say(claim, line)));
  expect(await farm.redis.xlen(KEYS.workLog(claim.job.layerBuild))).toBe(1);
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

test('a reader that was cut off in the middle of them goes on with the next line', async () => {
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

test('what a step tells comes after the lines that it has said, also when nobody waited for them', async () => {
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
  const kept = Number(await farm.redis.hget(KEYS.work(claim.job.layerBuild), 'logBytes'));
  expect(kept).toBeLessThanOrEqual(16 * 1024 ** 2);
  expect(kept).toBeGreaterThan(15 * 1024 ** 2);
  expect(linesOf(await past(buildId)).at(-1)).toMatch(/^11\/39 /);
  await farm.succeed(claim);
  const next = await farm.claim((await farm.take())[0]);
  await expect(say({ ...next, fence: 'another' }, 'late')).rejects.toMatchObject({ code: 'Superseded' });
});
