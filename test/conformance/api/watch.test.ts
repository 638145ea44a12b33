import { setTimeout as pause } from 'node:timers/promises';
import { CoreV1Api, makeInformer } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

let client: ClusterClient;
const namespace = useNamespace('watch', (opened) => {
  client = opened;
});
const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;

async function position(): Promise<string> {
  const { body } = await client.send('GET', configMaps);
  return (body['metadata'] as { resourceVersion: string }).resourceVersion;
}

/** Reads a watch up to the given number of events; `TYPE name` each. */
async function read(query: string, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const { type, object } of client.watch(`${configMaps}?watch=true&${query}`)) {
    const { name = '' } = object['metadata'] as { name?: string };
    if (name !== 'kube-root-ca.crt') seen.push(`${type} ${name}`.trim());
    if (seen.length === count) break;
  }
  return seen;
}

test('sends every change after a position, in order', async () => {
  const from = await position();
  await client.send('POST', configMaps, { metadata: { name: 'watched' } });
  await client.patch(`${configMaps}/watched`, 'merge-patch+json', { data: { a: '1' } });
  await client.send('DELETE', `${configMaps}/watched`);
  expect(await read(`resourceVersion=${from}`, 3)).toEqual(['ADDED watched', 'MODIFIED watched', 'DELETED watched']);
});

test('begins with what is there when no position is named', async () => {
  await client.send('POST', configMaps, { metadata: { name: 'present', labels: { set: 'present' } } });
  expect(await read('labelSelector=set%3Dpresent', 1)).toEqual(['ADDED present']);
});

test('calls an object deleted that stops matching the selector', async () => {
  const from = await position();
  await client.send('POST', configMaps, { metadata: { name: 'leaving', labels: { team: 'x' } } });
  await client.patch(`${configMaps}/leaving`, 'merge-patch+json', { metadata: { labels: { team: 'y' } } });
  await client.patch(`${configMaps}/leaving`, 'merge-patch+json', { metadata: { labels: { team: 'x' } } });
  const events = await read(`resourceVersion=${from}&labelSelector=team%20in%20(x,z)`, 3);
  expect(events).toEqual(['ADDED leaving', 'DELETED leaving', 'ADDED leaving']);
});

test('watches one object by its name', async () => {
  const from = await position();
  await client.send('POST', configMaps, { metadata: { name: 'other' } });
  await client.send('POST', configMaps, { metadata: { name: 'single' } });
  expect(await read(`resourceVersion=${from}&fieldSelector=metadata.name%3Dsingle`, 1)).toEqual(['ADDED single']);
  expect(await client.send('GET', `${configMaps}?fieldSelector=data.a%3D1`)).toMatchObject({ code: 400 });
});

test('feeds the informer of the Kubernetes client', async () => {
  const core = client.config.makeApiClient(CoreV1Api);
  const labelSelector = 'fed=informer';
  const informer = makeInformer(
    client.config,
    configMaps,
    () => core.listNamespacedConfigMap({ namespace, labelSelector }),
    labelSelector,
  );
  const seen: string[] = [];
  const done = new Promise<void>((resolve) => {
    informer.on('add', ({ metadata }) => seen.push(`add ${metadata?.name}`));
    informer.on('update', ({ data }) => seen.push(`update ${data?.['a']}`));
    informer.on('delete', () => resolve());
  });
  await client.send('POST', configMaps, { metadata: { name: 'fed', labels: { fed: 'informer' } } });
  await informer.start();
  await client.patch(`${configMaps}/fed`, 'merge-patch+json', { data: { a: '1' } });
  await client.send('DELETE', `${configMaps}/fed`);
  await done;
  await informer.stop();
  expect(seen).toEqual(['add fed', 'update 1']);
});

/** All events of a watch of this length. */
async function readAll(query: string): Promise<{ type: string; object: Record<string, unknown> }[]> {
  const events: { type: string; object: Record<string, unknown> }[] = [];
  for await (const event of client.watch(`${configMaps}?watch=true&${query}`)) events.push(event);
  return events;
}

test('sends a bookmark two seconds before the end of a watch that others have overtaken', async () => {
  const from = await position();
  const events = readAll(`resourceVersion=${from}&labelSelector=none%3Dsuch&timeoutSeconds=4&allowWatchBookmarks=true`);
  let isOver = false;
  const over = events.finally(() => {
    isOver = true;
  });
  // Kubernetes sends none for what was written before the watch began, and nobody knows when that is.
  const written: string[] = [];
  while (!isOver) {
    const { body } = await client.send('POST', configMaps, { metadata: { generateName: 'overtaking-' } });
    written.push((body['metadata'] as { resourceVersion: string }).resourceVersion);
    await Promise.race([over, pause(200)]);
  }
  const [bookmark] = await events;
  expect(bookmark).toMatchObject({
    type: 'BOOKMARK',
    object: { kind: 'ConfigMap', apiVersion: 'v1', metadata: { resourceVersion: expect.stringMatching(/^\d+$/) } },
  });
  const reached = bookmark?.object['metadata'] as { resourceVersion: string } | undefined;
  expect(Number(reached?.resourceVersion)).toBeGreaterThanOrEqual(Number(written[0]));
});

test('sends no bookmark to a watch that is over before one is due', async () => {
  const from = await position();
  expect(await readAll(`resourceVersion=${from}&timeoutSeconds=1&allowWatchBookmarks=true`)).toEqual([]);
});

test('sends no event to a watch from a position of the future', async () => {
  expect(await readAll(`resourceVersion=${Number(await position()) + 1_000_000}&timeoutSeconds=1`)).toEqual([]);
});

test('answers lists of positions that it cannot show', async () => {
  const list = (query: string) => client.send('GET', `${configMaps}?${query}`);
  const future = Number(await position()) + 1_000_000;
  expect(await list(`resourceVersion=${future}`)).toMatchObject({
    code: 504,
    body: {
      reason: 'Timeout',
      message: expect.stringContaining('Too large resource version'),
      details: { causes: [{ reason: 'ResourceVersionTooLarge' }], retryAfterSeconds: 1 },
    },
  });
  expect(await list('resourceVersion=abc')).toMatchObject({ code: 400 });
  expect(await list('limit=1&continue=abc')).toMatchObject({ code: 400 });
  expect(await list('resourceVersionMatch=Exact')).toMatchObject({ code: 422, body: { reason: 'Invalid' } });
  expect(await list('resourceVersion=0&resourceVersionMatch=Exact')).toMatchObject({ code: 422 });
  expect(await list(`resourceVersion=${await position()}&resourceVersionMatch=Sometimes`)).toMatchObject({ code: 422 });
});

test('shows everything where a list asks for any position, with any limit', async () => {
  for (const name of ['any1', 'any2'])
    await client.send('POST', configMaps, { metadata: { name, labels: { any: 'any' } } });
  const { body } = await client.send('GET', `${configMaps}?labelSelector=any&limit=1&resourceVersion=0`);
  expect(body['items']).toHaveLength(2);
  expect(body['metadata']).not.toHaveProperty('continue');
});

test('shows kubectl the changes of a watch', async () => {
  const watching = client.kubectl(
    'get',
    'cm',
    '-n',
    namespace,
    '-w',
    '--output-watch-events',
    '--request-timeout=2s',
    '-l',
    'k=w',
  );
  await client.send('POST', configMaps, { metadata: { name: 'shown', labels: { k: 'w' } } });
  await expect(watching).resolves.toMatch(/ADDED\s+shown/);
});
