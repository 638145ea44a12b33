import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { EVERYBODY, type Owners, type Priority } from '../contracts/owners.ts';
import { KEYS } from './keys.ts';
import { countLayersOf } from './layer-builds.ts';
import { readUsage, reportCluster } from './slots.ts';
import { cancelBuild } from './submissions.ts';

const GiB = 1024 ** 3;
const LIMITS = { imports: 100, vms: 6, cpu: 100, memoryBytes: 100 * GiB };
let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

interface Order {
  readonly by: string;
  readonly modules?: number;
  readonly vms?: number;
  readonly priority?: Priority;
}

/** Submits a build of so many modules, whose names contain the owner. */
async function submit({ by, modules = 6, vms = 1, priority = 'normal' }: Order) {
  const names = Array.from({ length: modules }, () => `${by}-${newId()}`);
  const machines = Array.from({ length: vms }, (_, index) => `vm${index}`);
  const layerBuilds = names.map((name) => sampleModule({ name, layerKey: name, layerBuild: newId(), vms: machines }));
  return { ...(await farm.submit(layerBuilds, { submittedBy: by, priority })), layerBuilds };
}

/** Lets the imports succeed that are admitted, and returns whose layer build was admitted to machines meanwhile. */
async function admitted(owners?: Owners, limits = LIMITS): Promise<string[]> {
  const found: string[] = [];
  for (let jobs = await farm.take('lab', limits, owners); jobs.length > 0; ) {
    const imports = jobs.filter(({ reference }) => reference.phase === 'import');
    for (const job of jobs) if (job.reference.phase === 'boot-keystrokes') found.push(await ownerOf(job.reference));
    for (const job of imports) await farm.succeed(await farm.claim(job));
    jobs = await farm.take('lab', limits, owners);
  }
  return found;
}

async function ownerOf({ layerBuild }: { layerBuild: string }): Promise<string> {
  return (await farm.redis.hget(KEYS.layerBuild(layerBuild), 'owner')) ?? '';
}

/** Imports all that waits while no machine fits, so that all of it waits for machines. */
const importAll = () => admitted(undefined, { ...LIMITS, vms: 100, cpu: 0.1 });

test('owners share a cluster by their weights, however many builds each of them sends', async () => {
  await submit({ by: 'ann' });
  for (let build = 0; build < 4; build += 1) await submit({ by: 'bob' });
  await importAll();
  expect((await admitted()).toSorted()).toEqual(['ann', 'ann', 'ann', 'bob', 'bob', 'bob']);

  await farm.reset();
  await submit({ by: 'ann' });
  await submit({ by: 'bob' });
  await importAll();
  const twice: Owners = new Map([['ann', { weight: 2 }]]);
  expect((await admitted(twice)).toSorted()).toEqual(['ann', 'ann', 'ann', 'ann', 'bob', 'bob']);
});

test('owners share a cluster by their weights also when all have waited long, and the oldest of each goes first', async () => {
  await submit({ by: 'ann', modules: 9 });
  await importAll();
  await farm.time.pass(60_000);
  const bob = await submit({ by: 'bob', modules: 4 });
  const eve = await submit({ by: 'eve', modules: 1 });
  await importAll();
  await farm.time.pass(3_600_000);
  await farm.advertise();
  const late = await submit({ by: 'bob', modules: 2 });
  await importAll();
  await farm.time.pass(3_600_000);
  await farm.advertise();
  const twice: Owners = new Map([['ann', { weight: 2 }]]);
  expect((await admitted(twice)).toSorted()).toEqual(['ann', 'ann', 'ann', 'bob', 'bob', 'eve']);
  const gangs = ({ layerBuilds }: typeof bob) =>
    Promise.all(layerBuilds.map(({ layerBuild }) => farm.redis.hget(KEYS.layerBuild(layerBuild), 'gang')));
  expect(await gangs(eve)).toEqual(['admitted']);
  expect(await gangs(late)).toEqual(['ready', 'ready']);
});

test('where shares are equal, the owner goes first that has had less of the cluster lately', async () => {
  const limits = { ...LIMITS, vms: 1 };
  const buildOf = new Map<string, string>();
  for (let build = 0; build < 4; build += 1) {
    for (const by of ['ann', 'bob']) {
      const { buildId, layerBuilds } = await submit({ by, modules: 1 });
      for (const { layerBuild } of layerBuilds) buildOf.set(layerBuild, buildId);
    }
  }
  await importAll();
  const order: string[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    const [owner = ''] = await admitted(undefined, limits);
    order.push(owner);
    await farm.time.pass(owner === 'ann' ? 180_000 : 60_000);
    await farm.advertise();
    const { slots } = await readUsage(farm.redis, 'lab');
    for (const { layerBuild } of slots) await cancelBuild(farm.redis, buildOf.get(layerBuild) ?? '');
    await reportCluster(farm.redis, 'lab', { leaving: slots, observed: [] });
  }
  expect(order).toEqual(['ann', 'bob', 'bob', 'bob']);
});

test('the builds of an owner share what the owner has', async () => {
  const first = await submit({ by: 'ann' });
  const second = await submit({ by: 'ann' });
  await importAll();
  await admitted();
  const slots = Object.values(await farm.redis.hgetall(KEYS.slots('lab')));
  const of = ({ buildId }: { buildId: string }) => slots.filter((slot) => slot.endsWith(`ann/${buildId}`)).length;
  expect([of(first), of(second)]).toEqual([3, 3]);
});

test('what is more urgent goes first, and so does what it joins', async () => {
  const low = await submit({ by: 'ann', modules: 6, priority: 'low' });
  await submit({ by: 'bob' });
  await importAll();
  await submit({ by: 'eve', modules: 2, priority: 'high' });
  await importAll();
  const joined = low.layerBuilds[5];
  if (!joined) throw new Error('The build has six modules.');
  await farm.submit([{ ...joined, layerBuild: newId() }], { submittedBy: 'eve', priority: 'high' });
  const went = await admitted();
  expect(went.toSorted()).toEqual(['ann', 'bob', 'bob', 'bob', 'eve', 'eve']);
  expect(await farm.redis.hget(KEYS.layerBuild(joined.layerBuild), 'gang')).toBe('admitted');
});

test('an owner holds no more than its quota, and what waits for it keeps nothing from others, however long', async () => {
  const owners: Owners = new Map([[EVERYBODY, { weight: 1, vms: 2 }]]);
  await submit({ by: 'ann', modules: 30 });
  await importAll();
  expect(await admitted(owners)).toEqual(['ann', 'ann']);
  await farm.time.pass(3_600_000);
  await farm.advertise();
  await submit({ by: 'bob', modules: 3 });
  await importAll();
  expect(await admitted(owners)).toEqual(['bob', 'bob']);
  for (const quota of [{ cpu: 3 }, { memoryBytes: 3 * GiB }]) {
    await farm.reset();
    await submit({ by: 'ann' });
    await importAll();
    expect(await admitted(new Map([['ann', { weight: 1, ...quota }]]))).toHaveLength(3);
  }
});

test('disks are made ahead for as many machines as the cluster has, by urgency and by owner', async () => {
  const { buildId } = await submit({ by: 'ann', modules: 40 });
  await admitted(undefined, { ...LIMITS, imports: 1 });
  const waiting = () => farm.redis.zcard(KEYS.waiting('lab', 'gangs'));
  expect(await waiting()).toBe(LIMITS.vms);
  await submit({ by: 'ann', modules: 1, priority: 'high' });
  await submit({ by: 'bob', modules: 2 });
  await admitted(undefined, { ...LIMITS, imports: 1 });
  expect(await waiting()).toBe(LIMITS.vms + 3);
  await cancelBuild(farm.redis, buildId);
  expect(await waiting()).toBe(3);
});

test('a module of more machines than may be made ahead is imported whole', async () => {
  await submit({ by: 'ann', modules: 3, vms: 6 });
  expect(await admitted(undefined, { ...LIMITS, imports: 2 })).toHaveLength(6);
});

test('the layers of an owner are counted until they have ended', async () => {
  const { buildId } = await submit({ by: 'ann', modules: 3 });
  await submit({ by: 'bob', modules: 1 });
  expect(await countLayersOf(farm.redis, 'ann')).toBe(3);
  await cancelBuild(farm.redis, buildId);
  expect([await countLayersOf(farm.redis, 'ann'), await countLayersOf(farm.redis, 'bob')]).toEqual([0, 1]);
});
