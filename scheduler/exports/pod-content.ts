import { request } from 'node:http';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { openRelay } from '../../common/kubernetes/relay-tunnel.ts';
import { userAgent } from '../../common/kubernetes/user-agent.ts';
import type { RawContent } from './raw-content.ts';

/** What a pod of the farm serves on its loopback. */
export function podContent({ pod, cluster }: { readonly pod: string; readonly cluster: ClusterConfig }): RawContent {
  const client = new ClusterClient(cluster, { userAgent: userAgent('scheduler') });
  return {
    place: `pod ${pod}`,
    request: async (headers, signal) => {
      const stream = await openRelay(client, pod, signal);
      const asked = request({
        headers: { ...headers, host: 'reader', connection: 'close' },
        createConnection: () => stream,
        signal,
      });
      // The protocol of port-forwards has no half-closed streams.
      asked.once('close', () => stream.destroy());
      return asked;
    },
  };
}
