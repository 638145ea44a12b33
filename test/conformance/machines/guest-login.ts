import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import ssh2 from 'ssh2';
import { WebSocket } from 'ws';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { openPortForward } from '../../../common/kubernetes/port-forward.ts';
import { clusterConfig } from '../../harness/api-server.ts';
import { NAMESPACE } from './laboratory.ts';

/** The client that streams of a cluster are opened with. */
export function streamClient(kubeconfig: string): ClusterClient {
  return new ClusterClient(clusterConfig(kubeconfig, { namespace: NAMESPACE }));
}

/** What a WebSocket handshake that must not succeed is answered with. */
export async function refusal(client: ClusterClient, path: string): Promise<{ code: number; text: string }> {
  const root = `/apis/subresources.kubevirt.io/v1/namespaces/${NAMESPACE}`;
  const { headers, ...credentials } = await client.transport.credentials({ ownConnection: true });
  const url = client.transport.url(`${root}/${path.split('?')[0]}`, undefined, 'ws');
  const socket = new WebSocket(`${String(url)}?${path.split('?')[1] ?? ''}`, ['plain.kubevirt.io'], {
    ...credentials,
    headers: headers as Record<string, string>,
  });
  socket.on('error', () => {}); // Ending an unfinished handshake is one.
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  const answer = { code: response.statusCode ?? 0, text: await text(response) };
  socket.terminate();
  return answer;
}

/** Who logs in, and through which port of which pod. */
export interface LoginOptions {
  readonly client: ClusterClient;
  readonly pod: string;
  readonly port: number;
  readonly privateKey: string;
  /** How long the guest may take to answer. @defaultValue 45 s */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 45_000;

/** Runs a command in a guest over SSH through a pod; tries again until the guest answers. */
export async function runInGuest(options: LoginOptions, command: string): Promise<string> {
  const deadline = Date.now() + (options.deadlineMs ?? DEADLINE_MS);
  for (;;) {
    try {
      return await attempt(options, command);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      // The guest is still booting: a refused connection is all that can be seen of it from outside.
      await options.client.clock.after(200);
    }
  }
}

async function attempt({ client, pod, port, privateKey }: LoginOptions, command: string): Promise<string> {
  const sock = await openPortForward(client, { pod, port });
  const connection = new ssh2.Client();
  try {
    await new Promise<void>((resolve, reject) => {
      // A connection that breaks may emit several errors.
      connection.once('ready', resolve).on('error', reject);
      connection.once('close', () => reject(new Error('The guest closed the connection')));
      connection.connect({ sock, username: 'root', privateKey, readyTimeout: 10_000 });
    });
    return await new Promise<string>((resolve, reject) => {
      connection.exec(command, (error, channel) => {
        if (error) return reject(error);
        let output = '';
        channel.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
        channel.stderr.resume();
        channel.once('close', () => resolve(output.trim()));
      });
    });
  } finally {
    connection.end();
    sock.destroy();
  }
}
