import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import type { PhaseClaim } from '../contracts/phase-store.ts';
import { KEYS } from './keys.ts';
import { runScript } from './scripts.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

test('an epoch that was given twice, because the first claim was lost, is current once', async () => {
  const module = sampleModule({ name: 'base', layerKey: 'k1', layerBuild: newId() });
  await farm.submit([module]);
  const [job] = await farm.take();
  const phases = KEYS.layerBuildPhases(module.layerBuild);
  const replicated = await farm.redis.dumpBuffer(phases);
  const first = await farm.claim(job, 'w1');
  const heard = await farm.store.watch(first, new AbortController().signal);
  await farm.redis.restore(phases, 0, replicated ?? '', 'REPLACE');
  const second = await farm.claim(job, 'w2');
  expect(second.epoch).toBe(first.epoch);
  const passed = { code: 'Superseded' };
  for (const late of [
    (claim: PhaseClaim) => farm.store.assertCurrent(claim),
    (claim: PhaseClaim) => farm.succeed(claim),
    (claim: PhaseClaim) => farm.store.keepSerial(claim, { vmiUid: 'u', lines: ['a'], readBytes: 1 }),
  ]) {
    await expect(late(first)).rejects.toMatchObject(passed);
  }
  await farm.store.assertCurrent(second);
  // A third claim finds it running, and reports that.
  await farm.claim(job, 'w3');
  await expect.poll(() => heard.reason).toMatchObject(passed);
});

const check = (redis: Redis) => runScript(redis, 'check', ['none', 1, 'vm', 'import', 'fence']);
const write = (redis: Redis) => runScript(redis, 'advertise', ['lab', 'import', 'w', 1, 1_000]);

test('a replica, one without its primary, and a server with too few replicas are waited for', async () => {
  const { redis } = farm;
  const admin = redis.duplicate({ enableOfflineQueue: true, reconnectOnError: null });
  // The refused connection is opened again meanwhile, which is refused in other words.
  const answers = (call: typeof write) =>
    expect.poll(() =>
      call(redis).then(
        () => 'done',
        ({ code, message }) => `${code}: ${message}`,
      ),
    );
  await admin.config('SET', 'min-replicas-to-write', 1);
  await answers(write).toBe('RedisUnavailable: The Redis server of the farm has too few replicas that are up to date.');
  await admin.config('SET', 'min-replicas-to-write', 0);
  await admin.replicaof('127.0.0.1', 1);
  await answers(write).toBe('RedisUnavailable: The Redis server of the farm is a read-only replica.');
  await admin.config('SET', 'replica-serve-stale-data', 'no');
  await answers(check).toBe('RedisUnavailable: The Redis server of the farm has lost its primary.');
  await admin.replicaof('NO', 'ONE');
  await answers(write).toBe('done');
  admin.disconnect();
});

/** A connection whose server answers every script with this. */
function answering(message: string): Redis {
  const error = Object.assign(new Error(message), { name: 'ReplyError' });
  return { 'slipway:check': () => Promise.reject(error) } as unknown as Redis;
}

test.each([
  'LOADING Redis is loading the dataset in memory',
  'CLUSTERDOWN Hash slot not served',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  "ERR Error running script (call to f_0): @user_script:12: -READONLY You can't write against a read only replica.",
])('passes, and never shows the message of Redis: %s', async (message) => {
  const error = await check(answering(message)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'RedisUnavailable', cause: { message } });
  expect(String(error)).not.toContain(message.split(' ')[0]);
});

test('a fault of a script is not waited for', async () => {
  await expect(check(answering('ERR user_script:7: attempt to index a nil value'))).rejects.toMatchObject({
    code: 'BrokenInvariant',
  });
});
