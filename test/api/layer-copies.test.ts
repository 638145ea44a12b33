import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { DiskOrigin, LayerRecord, LayerSpec } from '../../common/contracts/layers.ts';
import { LABELS } from '../../common/contracts/object-keys.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { restoreLayer } from '../../common/redis/layers.ts';
import { ExportService } from '../../scheduler/exports/export-service.ts';
import { layerDiskLinks } from '../../scheduler/http/layer-disk-links.ts';
import { buildScope } from '../../workers/cluster/build-scope.ts';
import { importExecutor } from '../../workers/phases/import/import-executor.ts';
import { captureDisks } from '../../workers/phases/snapshot/capture.ts';
import { clusterConfig } from '../harness/api-server.ts';
import { startEmbeddedCluster } from '../harness/embedded-cluster.ts';
import { FarmState } from '../harness/farm-state.ts';
import { layerRecord } from '../harness/layer-factory.ts';
import { stagePhase, TEST_FARM_KEY } from '../harness/phase-context.ts';
import { sampleModule } from '../harness/sample-spec.ts';

const MIB = 1024 ** 2;
const IMAGE = 'relay';
const LAYER_KEY = 'cd'.repeat(32);
const resources = new ReleaseStack();
/** One cluster under two names: what is copied leaves it and comes back. */
let config: ClusterConfig;

beforeAll(async () => {
  const cluster = await startEmbeddedCluster({ podCommands: { [IMAGE]: programCommand('workers/relay/main') } });
  resources.defer('cluster', () => cluster.stop());
  config = clusterConfig(cluster.kubeconfig, { namespace: 'default', relayImage: IMAGE });
}, 120_000);

afterAll(() => resources.close());

/** A module with one disk, which is `origin`. */
function specOf(origin: DiskOrigin, sizeBytes: number | null): LayerSpec {
  const { spec } = sampleModule({ name: 'lab', layerKey: 'k', layerBuild: 'l' });
  const disk = { name: 'root', sizeBytes, bus: 'virtio', storageClass: null, origin } as const;
  return { ...spec, vms: spec.vms.map((vm) => ({ ...vm, disks: [disk] })) };
}

/** What schedulers serve, and the clusters that they were asked for. */
async function serveCopies(record: LayerRecord) {
  const farm = await FarmState.open(resources);
  await restoreLayer(farm.redis, record);
  const directory = await mkdtemp(join(tmpdir(), 'slipway-copies-'));
  resources.defer('copies', () => rm(directory, { recursive: true }));
  const exported: string[] = [];
  const clusterOf = (name: string) => {
    exported.push(name);
    return { client: new ClusterClient(config), config, farm: 'test' };
  };
  const options = { clock: systemClock, logger: createLogger({ name: 'test', level: 'silent' }) };
  const exports = new ExportService({ ...options, directory, clusterOf });
  resources.defer('exports', () => exports.close());
  const app = express().use(layerDiskLinks({ ...options, redis: farm.redis, farmKey: TEST_FARM_KEY, exports }));
  const server = app.listen(0, '127.0.0.1');
  resources.defer('server', () => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return { blobsUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, exported };
}

test('copies the disk of a parent that another cluster has, once for all builds', async () => {
  const cluster = new ClusterClient(config);
  const staged = stagePhase({
    ...{ clusterConfig: config, spec: specOf({ kind: 'blank' }, 100 * MIB), vm: 'vm', phase: 'import' },
    layerBuild: '01J00000000000000000000080',
  });
  await importExecutor.execute(staged);
  const captured = await captureDisks(staged, buildScope(staged));
  const record = layerRecord({ layerKey: LAYER_KEY, cluster: 'far', namespace: 'default', vms: [captured] });
  const { blobsUrl, exported } = await serveCopies(record);

  const build = async (layerBuild: string, url: string | undefined) => {
    const origin = { kind: 'layer', layerKey: LAYER_KEY, vm: 'vm', disk: 'root' } as const;
    const spec = { ...specOf(origin, 200 * MIB), ...(url === undefined ? {} : { blobsUrl: url }) };
    const parents = { [LAYER_KEY]: record };
    const context = stagePhase({ clusterConfig: config, spec, vm: 'vm', phase: 'import', layerBuild, parents });
    expect(await importExecutor.execute(context)).toEqual({ outcome: 'succeeded' });
    const labels = { [LABELS.layerBuild]: layerBuild };
    const { items } = await cluster.list(RESOURCES.dataVolumes, { labels });
    return items.map(({ spec: { source } }) => source?.snapshot?.name);
  };
  const made = await Promise.all(
    ['01J00000000000000000000081', '01J00000000000000000000082'].map((layerBuild) => build(layerBuild, blobsUrl)),
  );
  const [[copied = ''] = []] = made;
  expect(made).toEqual([[copied], [copied]]);
  expect(copied).not.toBe(captured.disks[0]?.snapshot);
  expect(exported).toEqual(['far']);
  const copy = await cluster.get(RESOURCES.dataVolumes, copied);
  expect(copy?.metadata?.labels?.[LABELS.role]).toBe('source');
  const http = copy?.spec.source?.http as { readonly url: string; readonly checksum?: string };
  expect(http.checksum).toMatch(/^sha256:[0-9a-f]{64}$/);

  // Only holders of a link to this very disk get it.
  expect((await fetch(http.url)).status).toBe(200);
  expect((await fetch(http.url.replace('/root?', '/data?'))).status).toBe(403);
  await expect(build('01J00000000000000000000083', undefined)).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable', message: expect.stringContaining('on the cluster "far" cannot be copied') },
  });
}, 120_000);
