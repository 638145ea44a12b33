import { afterAll, beforeAll } from 'vitest';
import { ClusterClient } from './cluster-client.ts';
import { conformanceCluster, type EmbeddedCluster } from './embedded-cluster.ts';
import { run, runLabels } from './foreign-cluster.ts';

/**
 * A namespace for the test file that calls it, on the cluster that conformance suites run against, which needs nothing but its API.
 * It is there before the first test, and goes after the last one. Returns its name.
 */
export function useNamespace(name: string, opened: (client: ClusterClient) => void): string {
  const namespace = `${name}-${run}`;
  let cluster: EmbeddedCluster;
  let client: ClusterClient;
  beforeAll(async () => {
    cluster = await conformanceCluster({ apiOnly: true });
    client = new ClusterClient(cluster.kubeconfig);
    await client.send('POST', '/api/v1/namespaces', { metadata: { name: namespace, labels: runLabels } });
    opened(client);
  });
  afterAll(async () => {
    await client?.send('DELETE', `/api/v1/namespaces/${namespace}`);
    await client?.close();
    await cluster?.stop();
  });
  return namespace;
}
