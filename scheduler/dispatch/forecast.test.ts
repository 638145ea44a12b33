import { expect, test } from 'vitest';
import { forecast, type Running, type Waiting } from './forecast.ts';

const limits = { imports: 1, vms: 2, cpu: 8, memoryBytes: 8 };
const size = { vms: 1, cpu: 1, memoryBytes: 1 };
const running = (more: Partial<Running> = {}): Running => ({
  ...size,
  owner: 'ann',
  build: 'a',
  startedAt: 0,
  endsAt: 100,
  ...more,
});
const waiting = (id: string, more: Partial<Waiting> = {}): Waiting => {
  return { ...size, id, owner: 'ann', build: 'a', urgency: 1, priority: 1, lastsMs: 50, ...more };
};
const at = (slots: Running[], queue: Waiting[], { owners = new Map(), had = new Map<string, number>() } = {}) =>
  Object.fromEntries(
    [...forecast({ limits, owners, now: 10, had }, slots, queue)].map(([id, { position, startsAt }]) => [
      id,
      [position, startsAt],
    ]),
  );

test('plays what is expected to end, and admits by urgency, by share, and by what has the longest way to go', () => {
  const queue = [
    waiting('short', { priority: 1 }),
    waiting('long', { priority: 9 }),
    waiting('other', { owner: 'bob', build: 'b' }),
    waiting('urgent', { urgency: 2, owner: 'eve', build: 'e' }),
  ];
  expect(at([running(), running({ endsAt: 200 })], queue)).toEqual({
    urgent: [1, 100],
    other: [2, 150],
    long: [3, 200],
    short: [4, 200],
  });
});

test('machines of one module start together, and smaller ones pass them where they fit', () => {
  expect(at([running({ endsAt: 60 })], [waiting('pair', { vms: 2, priority: 9 }), waiting('one')])).toEqual({
    one: [1, 10],
    pair: [2, 60],
  });
});

test('gives no time for a gang behind a machine whose end is not known, and no place for one that never fits', () => {
  const stuck = [running({ endsAt: null }), running({ endsAt: null })];
  expect(at(stuck, [waiting('one')])).toEqual({ one: [1, null] });
  expect(at([], [waiting('huge', { vms: 3 })])).toEqual({});
  const owners = new Map([['ann', { weight: 1, vms: 1 }]]);
  expect(at([running({ endsAt: 40 })], [waiting('one')], { owners })).toEqual({ one: [1, 40] });
});

test('where shares are equal, admits the owner that has had less of the cluster lately, also by what ends meanwhile', () => {
  const [ann, bob] = [waiting('ann'), waiting('bob', { owner: 'bob', build: 'b' })];
  const full = [running({ owner: 'eve', vms: 2, endsAt: 20 })];
  expect(at(full, [ann, bob], { had: new Map([['ann', 5]]) })).toEqual({ bob: [1, 20], ann: [2, 20] });
  const theirs = [running({ owner: 'bob', build: 'b', endsAt: 20 }), running({ startedAt: 5, endsAt: 20 })];
  const pairs = [ann, bob].map((one) => ({ ...one, vms: 2 }));
  expect(at(theirs, pairs, { had: new Map([['ann', 4]]) })).toEqual({ ann: [1, 20], bob: [2, 70] });
  expect(at(theirs, pairs, { had: new Map([['ann', 6]]) })).toEqual({ bob: [1, 20], ann: [2, 70] });
});
