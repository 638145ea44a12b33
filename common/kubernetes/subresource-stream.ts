import type { Duplex } from 'node:stream';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { ApiError } from './api-error.ts';
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

/**
 * A TCP connection to a port of a running VMI, which KubeVirt makes to its first address: on the pod network only.
 * @throws as `openWebSocketStream`; ConnectionLost with KubeVirt's message while the machine does not answer
 */
export function openMachinePort(
  cluster: ClusterClient,
  vmi: string,
  { port, signal }: { readonly port: number; readonly signal?: AbortSignal },
): Promise<Duplex> {
  return openWebSocketStream(cluster, {
    path: `${subresourceRoot(cluster.namespace)}/virtualmachineinstances/${encodeURIComponent(vmi)}/portforward/${port}/tcp`,
    protocols: ['plain.kubevirt.io'],
    codec: RAW,
    refusal: guestsSilence,
    ...(signal ? { signal } : {}),
  });
}

/** KubeVirt answers 500 when it cannot connect to a guest, and refuses a machine that is paused or not running. */
function guestsSilence(error: unknown): unknown {
  const [, words] = /dialing VM: (.*)$/s.exec(errorMessage(error)) ?? [];
  const isState = error instanceof ApiError && error.status !== 404;
  if (words === undefined && !isState) return error;
  return new FarmError('ConnectionLost', words ?? errorMessage(error), { cause: error });
}
