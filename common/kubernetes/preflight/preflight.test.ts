import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, clusterConfig, json, refusal, startScriptedApi } from '../../../test/harness/api-server.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../../test/harness/embedded-cluster.ts';
import type { ClusterConfig } from '../../config/schema.ts';
import { ClusterClient } from '../cluster-client.ts';
import { findNetwork } from './find-network.ts';
import { preflight } from './preflight.ts';

const { signal } = new AbortController();
let embedded: EmbeddedCluster;

beforeAll(async () => {
  embedded = await startEmbeddedCluster({ config: { namespaces: ['slipway'] } });
});

afterAll(() => embedded.stop());

/** As `slipway up` configures it. */
function config(changes: Partial<ClusterConfig> = {}): ClusterConfig {
  const usual = { relayImage: 'slipway:local', externalSubnet: 'external' };
  return clusterConfig(embedded.kubeconfig, { ...usual, ...changes });
}

function inspect(changes: Partial<ClusterConfig> = {}) {
  const configured = config(changes);
  return preflight(new ClusterClient(configured), configured, signal);
}

test('finds an embedded cluster fit', async () => {
  await expect.poll(() => inspect()).toEqual({ network: 'kube-ovn', findings: [] });
});

test('names what the configuration asks for and the cluster does not have', async () => {
  const { findings } = await inspect({
    ...{ namespace: 'absent', storageClass: 'fast', externalSubnet: 'nowhere' },
  });
  expect(findings.map(({ severity, what }) => `${severity}: ${what}`)).toEqual([
    'error: The farm namespace "absent" does not exist.',
    'error: The storage class "fast" does not exist.',
    'error: The external subnet "nowhere" does not exist: modules with internet will fail.',
  ]);
});

/** A Kubernetes without anything on it, whose account may do nothing but look around. */
const bare: Answer = (request, response, url) => {
  const { pathname } = url;
  if (pathname === '/version') return json(200, { gitVersion: 'v1.31.0' })(request, response, url);
  if (pathname.endsWith('/selfsubjectaccessreviews'))
    return json(201, { status: { allowed: false } })(request, response, url);
  const isKnown = pathname.startsWith('/api/v1/') || pathname.startsWith('/apis/storage.k8s.io/');
  return (isKnown ? refusal(403, 'Forbidden', 'it is forbidden: User "u" cannot list it') : refusal(404, 'NotFound'))(
    request,
    response,
    url,
  );
};

test('reports all missing parts of a bare cluster, and the parts that it may not read', async () => {
  const api = await startScriptedApi(bare);
  const { findings } = await preflight(new ClusterClient(api.config), { ...api.config, network: 'kube-ovn' }, signal);
  // Without KubeOVN machines are on the pod network, unless it is configured.
  expect(await findNetwork(new ClusterClient(api.config), api.config, signal)).toBe('pod');
  await api.close();
  const errors = findings.filter(({ severity }) => severity === 'error').map(({ what }) => what);
  expect(errors.slice(0, 5).map((what) => what.split(' ')[0])).toEqual([
    ...['KubeVirt', 'CDI', 'VolumeSnapshots', 'Multus', 'KubeOVN'],
  ]);
  expect(errors[5]).toMatch(/^Rights are missing: get namespaces, .*, and \d+ more\.$/);
  expect(findings.filter(({ severity }) => severity === 'warning').map(({ what }) => what)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^Whether the namespace/),
      expect.stringMatching(/^Storage classes/),
    ]),
  );
});

test('judges nothing while the cluster does not answer', async () => {
  const api = await startScriptedApi(refusal(503, 'ServiceUnavailable'));
  const hasty = { now: () => 0, after: async () => {} };
  const judging = preflight(new ClusterClient(api.config, { clock: hasty }), api.config, signal);
  await expect(judging).rejects.toMatchObject({ code: 'ClusterUnavailable' });
  await api.close();
});
