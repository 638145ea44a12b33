import { setTimeout as after } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startRedisPair } from '../../test/harness/redis-servers.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { createLogger } from '../logging/logger.ts';
import { useRedis } from './connections.ts';
import { KEYS } from './keys.ts';
import { submitBuild } from './submissions.ts';

const HELD_UP_MS = 400;
/** As `submissions.ts` has it. */
const PATIENCE_MS = 1_000;

/** The primary is asked, and its replica is stopped and continued. */
test('a submission is answered when a replica has it, and after a second when none answers', {
  timeout: 60_000,
}, async () => {
  await using resources = new ReleaseStack();
  const { url, replica, replicaClient } = await startRedisPair(resources);
  const redis = await useRedis(resources, { url, logger: createLogger({ name: 'test', level: 'silent' }) }, 'producer');
  const submit = async (buildId: string) => {
    const modules = [sampleModule({ name: buildId, layerKey: buildId, layerBuild: buildId })];
    const begun = performance.now();
    const { outcome } = await submitBuild(redis, {
      buildId,
      idempotencyKey: null,
      digest: '',
      retentionMs: 60_000,
      modules,
    });
    expect(outcome).toBe('accepted');
    return performance.now() - begun;
  };
  const onReplica = (buildId: string) => replicaClient.hget(KEYS.build(buildId), 'state');

  await submit('first');
  expect(await onReplica('first')).toBe('queued');

  replica.process.kill('SIGSTOP');
  const heldUp = submit('second');
  await after(HELD_UP_MS);
  replica.process.kill('SIGCONT');
  expect(await heldUp).toBeGreaterThan(HELD_UP_MS / 2);
  expect(await onReplica('second')).toBe('queued');

  replica.process.kill('SIGSTOP');
  expect(await submit('third')).toBeGreaterThan(PATIENCE_MS / 2);
  replica.process.kill('SIGCONT');
});
