import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { connectThroughRelay } from '../../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { type ImportLab, NO_CLOUD_INIT, useImportLab } from '../../../test/harness/import-lab.ts';
import { compiledModule } from '../../../test/harness/module-factory.ts';
import { stagePhase } from '../../../test/harness/phase-context.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { withLogin } from './cloud-init.ts';
import { importExecutor } from './import-executor.ts';

let lab: ImportLab;

useImportLab((opened) => {
  lab = opened;
});

async function secretValues(cluster: ClusterClient, suffix: string): Promise<Record<string, string>> {
  const { items } = await cluster.list(RESOURCES.secrets);
  const data = items.find(({ metadata }) => metadata?.name?.endsWith(suffix))?.data ?? {};
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

test('imports a shared source once, and makes everything that the machines need', async () => {
  const spec = lab.spec(lab.urlOrigin(lab.image.sha256));
  const cluster = new ClusterClient(lab.config);
  const [web, db] = ['web', 'db'].map((vm) => stagePhase({ clusterConfig: lab.config, spec, vm, phase: 'import' }));
  if (!web || !db) throw new Error('unreachable');
  const results = await Promise.all([importExecutor.execute(web), importExecutor.execute(db)]);
  expect(results).toEqual([{ outcome: 'succeeded' }, { outcome: 'succeeded' }]);
  expect(lab.image.downloads()).toBe(1);

  const volumes = await cluster.list(RESOURCES.dataVolumes, { labels: { 'slipway.dev/role': 'build' } });
  expect(
    volumes.items.map(({ metadata, status }) => `${metadata?.name?.split('-g1-')[1]} ${status?.phase}`).sort(),
  ).toEqual(['disk-db-root Succeeded', 'disk-web-data Succeeded', 'disk-web-root Succeeded', 'iso-web-0 Succeeded']);

  const key = (await secretValues(cluster, '-ssh'))['id_ed25519.pub'];
  expect(key).toMatch(/^ssh-ed25519 /);
  const { userdata = '', networkdata } = await secretValues(cluster, '-cloud-init-web');
  expect(userdata).toBe(String(withLogin(null, { username: 'root', publicKeys: [key?.trim() ?? ''] })));
  expect(networkdata).toBe('version: 2');
  expect(await secretValues(cluster, '-answers-web')).toEqual({ 'user-data': `I am web, reach me by ${key}` });

  const { items: pods } = await cluster.list(RESOURCES.pods, { labels: { 'slipway.dev/role': 'build' } });
  const relay = pods[0]?.metadata?.name ?? '';
  const stream = await connectThroughRelay(cluster, relay, { host: '10.77.0.254', port: 8080 });
  stream.write('GET /ks.cfg HTTP/1.0\r\n\r\n');
  expect((await text(stream)).split('\r\n\r\n')[1]).toBe('url http://10.77.0.254:8080/ {{ .Unknown }} {{.Name}}');

  // A second claim adopts all of it, but for a relay that was evicted.
  const ended = { status: { phase: 'Failed', reason: 'Evicted' } };
  const path = `${cluster.path(RESOURCES.pods, relay, {})}/status`;
  await cluster.call({ method: 'PATCH', path, body: ended, contentType: 'application/merge-patch+json' });
  expect(await importExecutor.execute(web)).toEqual({ outcome: 'succeeded' });
  expect(lab.image.downloads()).toBe(1);

  const identity = { layerBuild: '01J00000000000000000000000', generation: 1 };
  await teardownBuild(cluster, { farm: 'test', network: 'kube-ovn', identity, signal: web.signal, deadlineMs: 60_000 });
  // The farm makes no quotas, and the embedded cluster serves none.
  const made = Object.values(RESOURCES).filter((resource) => resource !== RESOURCES.quotas);
  const left = await Promise.all(
    made.map(async (resource) => {
      const { items } = await cluster.list(resource, { labels: 'slipway.dev/farm=test' });
      return items.map(({ kind, metadata }) => `${kind} ${metadata?.labels?.['slipway.dev/role']}`);
    }),
  );
  // Shared sources stay: an image and an ISO, each with its claim and snapshot.
  expect(left.flat().sort()).toEqual([
    ...Array(2).fill('DataVolume source'),
    ...Array(2).fill('PersistentVolumeClaim source'),
    ...Array(2).fill('VolumeSnapshot source'),
  ]);
}, 120_000);

const WITHOUT_CLOUD_INIT = compiledModule({ name: 'lab', vms: [{ name: 'db', cloudInit: NO_CLOUD_INIT }] });

test('leaves relays that no guest uses before the farm does to the boot phase', async () => {
  const layerBuild = '01J00000000000000000000030';
  const [, db] = lab.spec({ kind: 'blank' }).vms;
  if (!db) throw new Error('unreachable');
  const spec = { ...lab.spec({ kind: 'blank' }), module: WITHOUT_CLOUD_INIT, vms: [db] };
  const staged = stagePhase({ clusterConfig: lab.config, spec, vm: 'db', phase: 'import', layerBuild });
  expect(await importExecutor.execute(staged)).toEqual({ outcome: 'succeeded' });
  const cluster = new ClusterClient(lab.config);
  expect(await cluster.get(RESOURCES.pods, buildScope(staged).names.relay('lab'))).toBeUndefined();
  const identity = { layerBuild, generation: 1 };
  await teardownBuild(cluster, {
    farm: 'test',
    network: 'kube-ovn',
    identity,
    signal: staged.signal,
    deadlineMs: 60_000,
  });
}, 60_000);
