import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { EQUAL_OWNERS } from '../../common/contracts/owners.ts';
import { createGuardedAgent } from '../../common/fetch/guarded-agent.ts';
import { forgetLayer, restoreLayer } from '../../common/redis/layers.ts';
import type { FarmState } from '../../test/harness/farm-state.ts';
import { serveFile } from '../../test/harness/file-server.ts';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { Planner } from '../planning/planner.ts';
import { BuildService } from './build-service.ts';

const MODULE = 'name: base\nvms: [{ name: vm, source: { blank: true } }]\n';
const LIMITS = { imports: 1, vms: 1, cpu: 8, memoryBytes: 2 ** 33 };
const agent = createGuardedAgent({ allowedAddresses: ['127.0.0.1'] });
let farm: FarmState;
let planner: Planner;

useFarmState((opened) => {
  farm = opened;
});

beforeAll(() => {
  planner = new Planner({ farmKey: Buffer.from('key') });
});

afterAll(async () => {
  await planner.close();
  await agent.destroy();
});

/** Plans, then makes the first `times` plans outdated: the layer that one builds comes, and the one that the next reuses goes. */
function outdatedPlanner(times: number): Pick<Planner, 'run'> {
  let left = times;
  const run: Planner['run'] = async (name, task) => {
    const result = await planner.run(name, task);
    if (name !== 'build' || left === 0) return result;
    left -= 1;
    const module = (result as { readonly submission: readonly string[] }).submission.at(-2) ?? '';
    const { action, layerKey } = JSON.parse(module);
    const changed = action === 'reuse' ? forgetLayer : restoreLayer;
    expect(await changed(farm.redis, layerRecord({ layerKey }))).toBe(true);
    return result;
  };
  return { run };
}

async function submitWith(
  outdated: Pick<Planner, 'run'>,
  { body = MODULE, idempotencyKey = null }: { body?: string; idempotencyKey?: string | null } = {},
): Promise<string> {
  const service = new BuildService({
    redis: farm.redis,
    clock: systemClock,
    planner: outdated,
    farmKey: createFarmKey('key'),
    agent,
    clusters: [
      {
        ...{ name: 'lab', namespace: 'slipway', labels: {}, limits: LIMITS },
        client: { name: 'lab', get: async () => undefined },
        network: async () => ({ kind: 'pod', hasEgress: true }),
      },
    ],
    owners: EQUAL_OWNERS,
    retentionMs: 60_000,
    failureRetentionMs: 60_000,
    blobs: null,
    blobsUrlOf: () => null,
  });
  const request = { isJson: false, noCache: false, strict: false, rebuild: '', only: '', body: Buffer.from(body) };
  return (await service.submit(request, { idempotencyKey, name: 'tester' })).buildId;
}

test('plans again when the catalog has changed since the plan', async () => {
  const buildId = await submitWith(outdatedPlanner(3));
  expect((await farm.eventsSoFar(buildId)).map(({ event }) => event)).toContain('build-accepted');
});

test('refuses a build whose plans keep being outdated, and leaves nothing that stays', async () => {
  await expect(submitWith(outdatedPlanner(4))).rejects.toMatchObject({ code: 'CatalogChanging' });
  for (const key of await farm.redis.keys('{farm}:build*'))
    expect([key, await farm.redis.pttl(key)]).not.toEqual([key, -1]);
});

test('a request that is sent again under its key is answered before anything is resolved', async () => {
  const source = await serveFile(import.meta.filename);
  const body = `${MODULE}files: [{ name: script, url: "${source.url}" }]\n`;
  const sent = { body, idempotencyKey: 'again' };
  const buildId = await submitWith(planner, sent);
  await source.stop();
  expect(await submitWith(planner, sent)).toBe(buildId);
  await expect(submitWith(planner, { body })).rejects.toMatchObject({ code: 'SourceUnreachable' });
});

test('a graph that is being built is joined when it is sent again', async () => {
  const builds = [await submitWith(planner), await submitWith(planner)];
  expect(new Set(builds).size).toBe(2);
  expect(await farm.take()).toHaveLength(1);
});
