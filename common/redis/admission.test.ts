import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { HandbuildEvent } from '../contracts/phase-store.ts';
import { KEYS } from './keys.ts';
import { cancelBuild } from './submissions.ts';

const PATIENCE_MS = 10 * 60_000;
let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

/** Submits a module of so many machines and imports their disks. */
async function imported(name: string, machines: number): Promise<string> {
  const vms = Array.from({ length: machines }, (_, index) => `vm${index}`);
  const layerBuild = newId();
  await farm.submit([sampleModule({ name, layerKey: name, layerBuild, vms })]);
  const jobs = await farm.take();
  for (const job of jobs.filter(({ reference }) => reference.layerBuild === layerBuild)) {
    await farm.succeed(await farm.claim(job));
  }
  return layerBuild;
}

const taken = async () => (await farm.take()).map(({ reference }) => reference.layerBuild);

test('no gang passes one that has waited too long, because the slots that it needs will become free', async () => {
  const running = await imported('running', 1);
  expect(await taken()).toEqual([running]);
  const large = await imported('large', 4);
  expect(await taken()).toEqual([]);
  const small = await imported('small', 1);
  expect(await taken()).toEqual([small]);
  await farm.time.pass(PATIENCE_MS + 1);
  await farm.advertise();
  await imported('late', 1);
  expect(await taken()).toEqual([]);
  expect(await farm.redis.zcard(KEYS.waiting('lab', 'gangs'))).toBe(2);
  expect(large).not.toBe(small);
});

test('a machine that waits for a person does not keep a whole cluster free for the gang that needs its slot', async () => {
  const running = await imported('running', 1);
  const boot = await farm.claim((await farm.take())[0]);
  expect(boot.job.layerBuild).toBe(running);
  await farm.succeed(boot);
  const claim = await farm.claim((await farm.take())[0]);
  const step = { module: 'running', vm: 'vm0', step: 0, name: null, type: 'handbuild' };
  const waiting: HandbuildEvent = { event: 'handbuild-waiting', ...step, instructions: 'Look.' };
  await farm.store.pause(claim, waiting, null);
  await imported('large', 4);
  expect(await taken()).toEqual([]);
  await farm.time.pass(PATIENCE_MS + 1);
  await farm.advertise();
  const late = await imported('late', 1);
  expect(await taken()).toEqual([late]);
});

test('what was cancelled leaves nothing behind that a look at the cluster goes through', async () => {
  const build = await farm.submit([sampleModule({ name: 'a', layerKey: 'a', layerBuild: newId() })]);
  await imported('running', 4);
  await taken();
  await imported('waiting', 2);
  await cancelBuild(farm.redis, build.buildId);
  for (const id of await farm.redis.zrevrange(KEYS.builds, 0, -1)) await cancelBuild(farm.redis, id);
  expect(
    (await farm.redis.keys('*')).filter((key) => /:(lanes|ahead|layers-of|shapes|waiting|ready):/.test(key)),
  ).toEqual([]);
});
