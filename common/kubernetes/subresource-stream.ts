import type { Duplex } from 'node:stream';
import type { ClusterClient } from './cluster-client.ts';
import { type FrameCodec, openWebSocketStream } from './web-socket-duplex.ts';

/** Root of KubeVirt's subresources in a namespace. */
export function subresourceRoot(namespace: string): string {
  return `/apis/subresources.kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}`;
}

const RAW: FrameCodec = { decode: (message) => message, encode: (bytes) => bytes };

/**
 * A raw byte stream of a running VMI (KubeVirt protocol `plain.kubevirt.io`): `vnc` or `console`. A newcomer evicts the
 * incumbent unless `preserveSession` (vnc only). Throws as `openWebSocketStream`; not running is an ApiError 400.
 */
export function openSubresourceStream(
  cluster: ClusterClient,
  vmi: string,
  options: { readonly stream: 'vnc' | 'console'; readonly preserveSession?: boolean; readonly signal?: AbortSignal },
): Promise<Duplex> {
  const { stream, preserveSession, signal } = options;
  return openWebSocketStream(cluster, {
    path: `${subresourceRoot(cluster.namespace)}/virtualmachineinstances/${encodeURIComponent(vmi)}/${stream}`,
    query: { preserveSession },
    protocols: ['plain.kubevirt.io'],
    codec: RAW,
    ...(signal ? { signal } : {}),
  });
}
