import { expect, test } from 'vitest';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { LABELS } from '../contracts/object-keys.ts';
import { ClusterClient } from './cluster-client.ts';
import type { Pod } from './objects.ts';
import { RESOURCES } from './resources.ts';
import { teardownBuild } from './teardown.ts';

const identity = { layerBuild: '01J00000000000000000000001', generation: 1 };

function pod(name: string, labels: Record<string, string> = {}): Pod {
  const ours = {
    [LABELS.farm]: 'test',
    [LABELS.layerBuild]: identity.layerBuild,
    [LABELS.generation]: '1',
    [LABELS.role]: 'build',
  };
  const spec = { containers: [{ name: 'a', image: 'a' }] };
  return { metadata: { name, labels: { ...ours, ...labels } }, spec };
}

test('leaves the pods of machines to their machines, and waits for them', async () => {
  const server = await startEmbeddedCluster({ apiOnly: true });
  try {
    const cluster = new ClusterClient(clusterConfig(server.kubeconfig, { namespace: 'default' }));
    await cluster.create(RESOURCES.pods, pod('relay'));
    await cluster.create(RESOURCES.pods, pod('launcher', { 'kubevirt.io': 'virt-launcher' }));
    const { signal } = new AbortController();
    // Nothing ends a machine here, so its pod stays.
    const torn = teardownBuild(cluster, { farm: 'test', network: 'kube-ovn', identity, signal, deadlineMs: 1_000 });
    await expect(torn).rejects.toMatchObject({ code: 'DeadlineExceeded', message: expect.stringContaining('pods') });
    const { items } = await cluster.list(RESOURCES.pods);
    expect(items.map(({ metadata }) => [metadata?.name, metadata?.deletionTimestamp])).toEqual([
      ['launcher', undefined],
    ]);
  } finally {
    await server.stop();
  }
});
