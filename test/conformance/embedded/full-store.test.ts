import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../../common/clock/clock.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { ClusterClient } from '../../harness/cluster-client.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../harness/embedded-cluster.ts';
import { openTemporaryDisk, type SmallDisk } from '../../harness/small-disk.ts';

const MIB = 1024 ** 2;
const configMaps = '/api/v1/namespaces/default/configmaps';
const resources = new ReleaseStack();
let disk: SmallDisk;
let cluster: EmbeddedCluster;
let client: ClusterClient;

beforeAll(async () => {
  disk = resources.use('disk', openTemporaryDisk(24 * MIB), (opened) => opened.close());
  const started = await startEmbeddedCluster({ apiOnly: true, dataDir: disk.path });
  cluster = resources.use('cluster', started, (running) => running.stop());
  client = resources.use('client', new ClusterClient(cluster.kubeconfig), (opened) => opened.close());
});

afterAll(() => resources.close());

async function create(name: string): Promise<number> {
  return (await client.send('POST', configMaps, { metadata: { name } })).code;
}

/** Each takes a MiB of the journal. */
async function rewrite(name: string, text: string): Promise<number> {
  const data = { text: text.repeat(MIB) };
  return (await client.patch(`${configMaps}/${name}`, 'merge-patch+json', { data })).code;
}

test('a cluster whose disk is full takes no new objects, lets those that exist be deleted, and recovers by itself', {
  timeout: 120_000,
}, async () => {
  for (const name of ['a', 'b']) expect(await create(name)).toBe(201);
  disk.leave(0);
  const codes = [];
  while (codes.at(-1) !== 507) {
    codes.push(await rewrite('a', String(codes.length % 10)), await create(`extra-${codes.length}`));
  }
  const refused = await client.send('POST', configMaps, { metadata: { name: 'c' } });
  expect(refused.body['message']).toContain('is full: free 8 MiB there');
  expect(await rewrite('a', 'z')).toBe(200);
  expect((await client.send('DELETE', `${configMaps}/b`)).code).toBe(200);
  disk.leave(undefined);
  await expect.poll(() => create('c')).toBe(201);
  await cluster.restart();
  expect((await client.send('GET', `${configMaps}/a`)).body).toMatchObject({ data: { text: 'z'.repeat(MIB) } });
  expect((await client.send('GET', `${configMaps}/b`)).code).toBe(404);
});

test('a client has seen nothing that is lost when the server is killed on a full disk', {
  timeout: 120_000,
}, async () => {
  expect(await create('seen')).toBe(201);
  const announced: number[] = [];
  const watching = (async () => {
    for await (const { object } of client.watch(`${configMaps}?watch=true&fieldSelector=metadata.name%3Dseen`)) {
      announced.push(versionOf(object));
    }
  })().catch(() => {}); // It ends with the server.
  await expect.poll(() => announced.length).toBe(1);
  disk.leave(0);
  // A change that waits for room gets no answer, and the next one is refused.
  let code: unknown;
  for (let digit = 0; code !== 500; digit += 1) {
    const answer = rewrite('seen', String(digit % 10)).catch(() => 'cut');
    code = await Promise.race([answer, systemClock.after(200)]);
  }
  await cluster.kill('SIGKILL');
  await watching;
  disk.leave(undefined);
  await cluster.restart();
  const { body } = await client.send('GET', `${configMaps}/seen`);
  expect(announced.length).toBeGreaterThan(1);
  expect(versionOf(body)).toBeGreaterThanOrEqual(announced.at(-1) ?? Number.POSITIVE_INFINITY);
});

function versionOf(object: unknown): number {
  return Number((object as { metadata: { resourceVersion: string } }).metadata.resourceVersion);
}
