import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { type LiveApi, MODULES, SECRET, startApi } from './live-api.ts';

let api: LiveApi;

let client: FarmClient;

beforeAll(async () => {
  api = await startApi();
  client = api.client;
});

beforeEach(() => api.reset());

afterAll(() => api.close());

test('shows a build by page, with how far all of it is', async () => {
  const { buildId } = await client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  const page = async (query: string) => (await api.call(`/api/v1/builds/${buildId}${query}`)).json();
  const [first, second] = [await page('?limit=1'), await page('?limit=1&cursor=1')];
  const counts = { all: 2, open: 2, succeeded: 0, failed: 0, cancelled: 0 };
  expect(first).toMatchObject({ counts, modules: [{ name: 'base' }], nextCursor: '1', criticalPath: { length: 8 } });
  expect(second).toMatchObject({ counts, modules: [{ name: 'child', state: 'queued' }], nextCursor: null });
  expect(await page('?limit=2')).toMatchObject({ modules: { length: 2 }, nextCursor: null });
  expect(await page('?cursor=2')).toMatchObject({ modules: [], nextCursor: null });
  expect((await api.call(`/api/v1/builds/${buildId}?cursor=x`)).status).toBe(400);
  await api.work();
  expect(await client.buildHead(buildId)).toMatchObject({ counts: { ...counts, open: 0, succeeded: 2 } });
  expect(await page('?limit=1&cursor=1')).toMatchObject({ modules: [{ state: 'succeeded', vms: { length: 1 } }] });
});

test('goes through builds and images page by page', async () => {
  const made: string[] = [];
  for (let build = 1; build <= 5; build += 1) {
    const text = MODULES.replace(SECRET, `${SECRET} ${build}`);
    made.push((await client.submit({ files: [{ path: 'lab.yaml', text }], variables: {} })).buildId);
    await api.work();
  }
  // Builds of one millisecond have one score: pages must neither repeat nor lose them.
  const score = (await api.redis.zscore(KEYS.builds, made[0] ?? '')) ?? '';
  for (const id of made.slice(0, 4)) await api.redis.zadd(KEYS.builds, score, id);
  const builds = await pages('/api/v1/builds?limit=2', 'builds');
  expect(builds.map(({ length }) => length)).toEqual([2, 2, 1]);
  expect(builds.flat().map(({ buildId }) => buildId)).toEqual(made.toReversed());
  const images = await pages('/api/v1/images?limit=3', 'images');
  // The cluster has slots for four machines, and no machine ends here.
  expect(images.map(({ length }) => length)).toEqual([3, 1]);
  expect(images.flat()).toEqual(await client.images.list());
  expect((await api.call('/api/v1/images?cursor=nonsense')).status).toBe(400);
});

test('finds builds by state, by submitter, and by a text in their modules, page by page', async () => {
  const submit = async (name: string, by = client) => {
    const text = `name: ${name}\nvms: [{ name: vm, source: { blank: true }, resources: { cpu: 1, memory: 1Gi } }]\n`;
    const changed = `${text}labels: { x: y }\n`.replace('1Gi', `${made.length + 1}Gi`);
    made.push((await by.submit({ files: [{ path: 'a.yaml', text: changed }], variables: {} })).buildId);
  };
  const made: string[] = [];
  const builder = api.as(await api.tokenOf('builder'));
  // With letters that no id of a build has.
  for (const name of ['lib-front', 'sql', 'lib-back']) await submit(name);
  await submit('sql', builder);
  await client.cancel(made[1] ?? '');
  const found = async (query: string) => {
    const all = (await pages(`/api/v1/builds?limit=2${query}`, 'builds')).flat();
    return all.map(({ buildId }) => made.indexOf(String(buildId)));
  };
  expect(await found('&search=LIB')).toEqual([2, 0]);
  expect(await found(`&search=${made[0]?.slice(-8).toLowerCase()}`)).toEqual([0]);
  expect(await found('&by=the-builder')).toEqual([3]);
  expect(await found('&state=cancelled')).toEqual([1]);
  expect(await found('&state=queued,running&search=sql')).toEqual([3]);
  expect(await found('&search=nothing')).toEqual([]);
  expect((await api.call('/api/v1/builds?state=gone')).status).toBe(400);
});

const pageSchema = z.looseObject({ nextCursor: z.string().nullable() });

async function pages(path: string, field: string): Promise<Record<string, unknown>[][]> {
  const found: Record<string, unknown>[][] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: unknown = await (await api.call(`${path}${cursor && `&cursor=${cursor}`}`)).json();
    const { nextCursor, [field]: rows } = pageSchema.parse(page);
    found.push(z.array(z.record(z.string(), z.unknown())).parse(rows));
    cursor = nextCursor;
  }
  return found;
}
