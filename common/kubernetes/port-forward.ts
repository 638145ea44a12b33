import type { Duplex } from 'node:stream';
import { FarmError } from '../errors/farm-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';
import { type FrameCodec, openWebSocketStream } from './web-socket-duplex.ts';

const DATA = 0;
const ERROR = 1;

/**
 * A TCP connection to a port of a pod (kubelet dials on the loopback of the pod's network namespace, so it works into
 * any VPC). One WebSocket a connection; the port refused or lost ends the stream with `ConnectionLost` and kubelet's
 * text. Kubelet serves protocol v4 alone, in which the
 * peer does not learn of the end of the bytes: destroy the stream when done.
 */
export function openPortForward(
  cluster: ClusterClient,
  target: { readonly pod: string; readonly port: number; readonly signal?: AbortSignal },
): Promise<Duplex> {
  const { pod, port, signal } = target;
  return openWebSocketStream(cluster, {
    path: `${cluster.path(RESOURCES.pods, pod, {})}/portforward`,
    query: { ports: port },
    protocols: ['v4.channel.k8s.io'],
    codec: channelCodec(`${pod}:${port}`),
    ...(signal ? { signal } : {}),
  });
}

/** Channel byte first; the first two bytes that come on each channel repeat the port and are dropped. */
function channelCodec(target: string): FrameCodec {
  const headerLeft = new Map([
    [DATA, 2],
    [ERROR, 2],
  ]);
  return {
    decode: (message) => {
      const channel = message[0];
      if (channel === undefined || !headerLeft.has(channel)) return undefined;
      const left = headerLeft.get(channel) ?? 0;
      const bytes = message.subarray(1 + left);
      headerLeft.set(channel, Math.max(0, left - (message.length - 1)));
      if (channel === ERROR && bytes.length > 0) {
        throw new FarmError('ConnectionLost', `Port-forward to ${target}: ${bytes.toString().trim()}`);
      }
      return channel === DATA ? bytes : undefined;
    },
    encode: (bytes) => Buffer.concat([Buffer.of(DATA), bytes]),
  };
}
