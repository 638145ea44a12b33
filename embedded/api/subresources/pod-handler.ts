import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { WebSocket } from 'ws';
import { badRequest, notFound } from '../api-error.ts';
import type { UpgradeRequest } from '../http/api-server.ts';
import type { VirtualResource } from '../http/discovery.ts';
import type { Exchange } from '../http/exchange.ts';
import { isTrue, numberParameter } from '../http/list-query.ts';
import { keyOfPath } from '../http/resource-handler.ts';
import type { ResourcePath } from '../http/resource-path.ts';
import type { KubeObject } from '../objects.ts';
import type { Store } from '../store.ts';
import { phaseOf } from './instance-state.ts';
import { type MachineAccess, type MachineRef, requireAccess } from './machine-access.ts';
import { acceptWebSocket, bytesOf, sendToClient, writeFromClient } from './web-socket.ts';

/** Discovery list of a pod's subresources. */
export const POD_SUBRESOURCES: readonly VirtualResource[] = [
  { group: '', version: 'v1', name: 'pods/log', kind: 'Pod', namespaced: true, verbs: ['get'] },
  {
    group: '',
    version: 'v1',
    name: 'pods/portforward',
    kind: 'PodPortForwardOptions',
    namespaced: true,
    verbs: ['create', 'get'],
  },
  { group: '', version: 'v1', name: 'pods/eviction', kind: 'Eviction', namespaced: true, verbs: ['create'] },
];

/** The one that kubelet serves: v5, which can close one direction, is for `exec` and `attach`. */
const PROTOCOL = 'v4.channel.k8s.io';

/** Logs of pods and connections to their ports. */
export class PodHandler {
  readonly #store: Store;
  readonly #access: MachineAccess | undefined;

  constructor(store: Store, access: MachineAccess | undefined) {
    this.#store = store;
    this.#access = access;
  }

  /** Streams the log as plain text: `container`, `follow` and `tailLines` are honoured. */
  async log(exchange: Exchange, path: ResourcePath): Promise<void> {
    const pod = this.#find(path);
    const query = exchange.url.searchParams;
    const container = containerNamed(pod, query.get('container') ?? '');
    if (phaseOf(pod) === 'Pending') {
      throw badRequest(`container "${container}" in pod "${pod.metadata.name}" is waiting to start: ContainerCreating`);
    }
    const tailLines = numberParameter(query, 'tailLines');
    const log = await requireAccess(this.#access).podLog(refOf(pod), {
      container,
      follow: isTrue(query.get('follow')),
      signal: exchange.signal,
      ...(tailLines === undefined ? {} : { tailLines }),
    });
    exchange.response.writeHead(200, { 'Content-Type': 'text/plain' });
    exchange.response.flushHeaders();
    await pipeline(log, exchange.response, { signal: exchange.signal }).catch((error: unknown) => {
      if (!exchange.signal.aborted) throw error;
    });
  }

  /**
   * Forwards ports over a WebSocket (`v4.channel.k8s.io`): each port has a data and an error channel, and both begin
   * with the port number in two bytes, low byte first.
   */
  async portForward(upgrade: UpgradeRequest): Promise<void> {
    const pod = this.#find(upgrade.path);
    const access = requireAccess(this.#access);
    if (phaseOf(pod) !== 'Running') {
      throw badRequest(`unable to forward port because pod is not running. Current status=${phaseOf(pod)}`);
    }
    const offers = upgrade.request.headers['sec-websocket-protocol']?.split(',').map((offer) => offer.trim()) ?? [];
    if (!offers.includes(PROTOCOL)) {
      throw badRequest(`unable to upgrade: none of the protocols "${offers.join(', ')}" is served for port-forward`);
    }
    const ports = upgrade.url.searchParams.getAll('ports').flatMap((list) => list.split(',').map(Number));
    if (ports.length === 0 || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535)) {
      throw badRequest('query parameter "ports" must name valid ports');
    }
    const client = await acceptWebSocket(upgrade, () => PROTOCOL);
    client.on('error', () => client.terminate());
    upgrade.signal.addEventListener('abort', () => client.terminate(), { once: true });
    const forwards = new Map(ports.map((port, index) => [2 * index, new PortChannel(client, 2 * index, port)]));
    client.on('message', (message) => dispatch(forwards, bytesOf(message)));
    const ends = [...forwards.values()].map((forward) => forward.run((port) => access.openPodPort(refOf(pod), port)));
    void Promise.all(ends).then(() => client.close(1000));
  }

  #find(path: ResourcePath): KubeObject {
    const pod = this.#store.get('Pod', keyOfPath(path));
    if (!pod) throw notFound(this.#store.kindOf('Pod'), keyOfPath(path));
    return pod;
  }
}

/** The requested container, or the only one; else the error of kube-apiserver. */
function containerNamed(pod: KubeObject, asked: string): string {
  const names = (field: 'containers' | 'initContainers') => {
    const list = pod.spec?.[field];
    return Array.isArray(list) ? list.map((container) => String(container['name'])) : [];
  };
  const [only = '', ...others] = names('containers');
  const { name } = pod.metadata;
  if (asked === '' && others.length > 0) {
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${[only, ...others].join(' ')}]`,
    );
  }
  if (asked !== '' && ![only, ...others, ...names('initContainers')].includes(asked)) {
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  return asked === '' ? only : asked;
}

function refOf({ metadata }: KubeObject): MachineRef {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}

function dispatch(forwards: ReadonlyMap<number, PortChannel>, message: Buffer): void {
  forwards.get(message[0] ?? 0)?.receive(message.subarray(1));
}

/** One forwarded port of a client. */
class PortChannel {
  readonly #client: WebSocket;
  readonly #channel: number;
  readonly #port: number;
  /** Data that the client sent before the port was open; undefined afterwards. */
  #early: Buffer[] | undefined = [];
  #stream: Duplex | undefined;

  constructor(client: WebSocket, channel: number, port: number) {
    this.#client = client;
    this.#channel = channel;
    this.#port = port;
  }

  /** Opens the port and carries bytes until it closes; a port that cannot be opened is reported on the error channel. */
  async run(open: (port: number) => Promise<Duplex>): Promise<void> {
    const number = [this.#port & 0xff, this.#port >> 8];
    this.#client.send(Buffer.from([this.#channel, ...number]));
    this.#client.send(Buffer.from([this.#channel + 1, ...number]));
    try {
      this.#carry(await open(this.#port));
      await this.#closed();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const text = `error forwarding port ${this.#port} to pod: ${why}`;
      if (this.#client.readyState === this.#client.OPEN) {
        this.#client.send(Buffer.concat([Buffer.from([this.#channel + 1]), Buffer.from(text)]));
      }
    }
  }

  receive(bytes: Buffer): void {
    if (this.#stream) writeFromClient(this.#client, this.#stream, bytes);
    else this.#early?.push(bytes);
  }

  #carry(stream: Duplex): void {
    this.#stream = stream;
    const prefix = Buffer.from([this.#channel]);
    stream.on('data', (chunk: Buffer) => sendToClient(this.#client, stream, Buffer.concat([prefix, chunk])));
    this.#client.once('close', () => stream.destroy());
    if (this.#client.readyState !== this.#client.OPEN) stream.destroy();
    for (const bytes of this.#early ?? []) this.receive(bytes);
    this.#early = undefined;
  }

  #closed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream?.once('close', resolve);
      this.#stream?.once('end', resolve);
      this.#stream?.once('error', reject);
      if (!this.#stream || this.#stream.destroyed) resolve();
    });
  }
}
