import { connect as connectPlain, type Socket } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis';
import { z } from 'zod';

/** Interval at which other nodes are asked whether the connected node still has the key: a hanging node never reports it. */
const LOOK_MS = 2_000;
const ANSWER_MS = 2_000;

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

interface Owner extends NodeAddress {
  /** Name of the node in the cluster: addresses of one node may be written in several ways. */
  readonly id: string;
}

/** CLUSTER SLOTS: first slot, last slot, then the primary and its replicas as host, port, id. */
const slotsReply = z.array(
  z.tuple([z.int(), z.int(), z.tuple([z.string().nullable(), z.int(), z.string()], z.unknown())], z.unknown()),
);

/**
 * How a client gets to a Redis Cluster when all of its keys are in one hash slot: it connects to the primary of that slot,
 * which any of `nodes` names, now and after each failover. Commands, scripts and subscriptions are those of a single server.
 */
export function clusterConnector(nodes: readonly NodeAddress[], key: string) {
  return class ClusterConnector extends AbstractConnector {
    readonly #options: RedisOptions;
    #lookout = new AbortController();

    /** @param options as the client has parsed them */
    constructor(options: unknown) {
      const parsed = options as RedisOptions;
      super(parsed.disconnectTimeout ?? 0);
      this.#options = parsed;
    }

    /** Never rejects for want of an owner, because that would end the client permanently: it connects somewhere, and tries again. */
    override async connect(): Promise<Socket> {
      this.#lookout.abort();
      this.#lookout = new AbortController();
      this.connecting = true;
      const owner = await this.#findOwner();
      if (!this.connecting) throw new Error('The connection was closed while it was opened.');
      const { host, port } = owner ?? nodes[0] ?? { host: '127.0.0.1', port: 6379 };
      const { tls } = this.#options;
      const stream = tls ? connectTls({ host, port, ...tls }) : connectPlain({ host, port });
      this.stream = stream;
      stream.once('error', (error) => {
        this.firstError = error;
      });
      if (owner) void this.#leaveWhenMoved(stream, owner, this.#lookout.signal);
      return stream;
    }

    override disconnect(): void {
      this.#lookout.abort();
      super.disconnect();
    }

    async #leaveWhenMoved(stream: Socket, { id }: Owner, signal: AbortSignal): Promise<void> {
      while (!signal.aborted && !stream.destroyed) {
        await after(LOOK_MS, undefined, { signal, ref: false }).catch(() => {});
        if (signal.aborted) return;
        const owner = await this.#findOwner();
        if (owner && owner.id !== id) stream.destroy();
      }
    }

    /** According to the first node that answers. */
    #findOwner(): Promise<Owner | undefined> {
      return Promise.any(nodes.map((node) => askOwner(node, key, this.#options))).catch(() => undefined);
    }
  };
}

/** The owner of the slot of a key, as a node names it. */
async function askOwner({ host, port }: NodeAddress, key: string, options: RedisOptions): Promise<Owner> {
  const { username, password, tls, family } = options;
  const client = new Redis({
    ...{ host, port, lazyConnect: true, enableReadyCheck: false, retryStrategy: null, maxRetriesPerRequest: 0 },
    ...{ connectTimeout: ANSWER_MS, commandTimeout: ANSWER_MS },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(family === undefined ? {} : { family }),
  });
  client.on('error', () => {});
  try {
    const slot = Number(await client.cluster('KEYSLOT', key));
    const ranges = slotsReply.parse(await client.cluster('SLOTS'));
    const [, , primary] = ranges.find(([first, last]) => first <= slot && slot <= last) ?? [];
    if (!primary) throw new Error(`No node has slot ${slot}.`);
    return { host: primary[0] || host, port: primary[1], id: primary[2] };
  } finally {
    client.disconnect();
  }
}
