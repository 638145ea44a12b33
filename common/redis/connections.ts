import { type AbstractConnector, Redis, SentinelConnector } from 'ioredis';
import type { Config } from '../config/schema.ts';
import { REDIS_PREFIX } from '../contracts/phases.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import type { ReleaseStack } from '../lifecycle/release-stack.ts';
import type { Logger } from '../logging/logger.ts';
import { clusterConnector, type NodeAddress } from './cluster-connector.ts';

/** Oldest version whose scripts replicate effects and whose streams and sorted sets do what the farm asks for. */
const OLDEST = [6, 2] as const;
const RECONNECT_MAX_MS = 2_000;
/** A server that answers nothing for this long is left: longer than any read of the farm blocks (15 s). */
const SILENCE_MS = 25_000;
const DEFAULT_SENTINEL_NAME = 'mymaster';

/**
 * Purpose of a connection. `producer`: requests that must fail fast while Redis is away. `worker`: BullMQ workers, which
 * wait for Redis as long as it takes. `listener`: subscriptions and blocking reads, likewise.
 */
export type ConnectionRole = 'producer' | 'worker' | 'listener';

/** How a process reaches Redis: `redis` of the configuration, or a URL. */
export interface RedisOptions extends Partial<Config['redis']> {
  readonly url: string;
  readonly logger: Logger;
  /** Hears how long requests of the role `producer` took to be answered, ms. */
  readonly onReply?: (elapsedMs: number) => void;
}

/**
 * Opens a connection that reconnects by itself, and waits until it is ready.
 * @throws RedisUnavailable when the first connection fails.
 */
export async function openRedis(options: RedisOptions, role: ConnectionRole): Promise<Redis> {
  const { url, logger, onReply } = options;
  const redis = new Redis(url, {
    ...sentinelOptions(options),
    ...clusterOptions(options),
    lazyConnect: true,
    connectionName: `slipway-${role}`,
    enableOfflineQueue: role !== 'producer',
    maxRetriesPerRequest: role === 'producer' ? 1 : null,
    socketTimeout: SILENCE_MS,
    retryStrategy: (times) => Math.min(times * 50, RECONNECT_MAX_MS),
    // A primary that has become a replica, has lost its own, or has given its keys away: connecting again finds the current one.
    reconnectOnError: ({ message }) => /\b(READONLY|MASTERDOWN|MOVED|CLUSTERDOWN)\b/.test(message),
  });
  // Others block on purpose: the duration of their requests is meaningless.
  if (onReply && role === 'producer') timeReplies(redis, onReply);
  let trouble: unknown;
  redis.on('error', (error) => {
    trouble = error;
    logger.warn({ err: error, role }, 'The Redis connection failed; connecting again');
  });
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    // The client rejects with "Connection is closed." for every cause.
    const cause = trouble ?? error;
    const message = `Redis cannot be reached at ${placeOf(options)}: ${errorMessage(cause)}`;
    throw new FarmError('RedisUnavailable', message, { cause });
  }
  return redis;
}

function timeReplies(redis: Redis, onReply: (elapsedMs: number) => void): void {
  const send = redis.sendCommand.bind(redis);
  redis.sendCommand = (command, stream) => {
    const sentAt = performance.now();
    command.promise.then(
      () => onReply(performance.now() - sentAt),
      () => {},
    );
    return send(command, stream);
  };
}

/** As `openRedis`, closed by `resources`. */
export async function useRedis(resources: ReleaseStack, options: RedisOptions, role: ConnectionRole): Promise<Redis> {
  return resources.use(`Redis ${role}`, await openRedis(options, role), (redis) => redis.disconnect());
}

/** Where Redis is, without user and password: a host, or the path of a socket. */
function placeOf({ url, sentinels = [], cluster = [] }: RedisOptions): string {
  const named = [...sentinels, ...cluster];
  if (named.length > 0) return named.join(', ');
  return url.startsWith('/') ? url : new URL(url).host;
}

/** Behind Sentinels the server is the one that they name, now and after each failover. */
function sentinelOptions({ url, sentinels = [], sentinelName }: RedisOptions) {
  if (sentinels.length === 0) return {};
  const isEncrypted = url.startsWith('rediss:');
  return {
    name: sentinelName ?? DEFAULT_SENTINEL_NAME,
    sentinels: sentinels.map(readAddress),
    // Hears of a failover from the Sentinels, also when the old primary hangs instead of ending.
    failoverDetector: true,
    Connector: FailoverConnector,
    ...(isEncrypted ? { sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
  };
}

/** In a cluster the server is the primary of the one hash slot in which all keys of the farm are. */
function clusterOptions({ cluster = [] }: RedisOptions) {
  return cluster.length === 0 ? {} : { Connector: clusterConnector(cluster.map(readAddress), REDIS_PREFIX) };
}

function readAddress(text: string): NodeAddress {
  const { hostname, port } = new URL(`redis://${text}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/**
 * Listens for failovers only while a connection is up. The client's own connector listens on while it connects again, and
 * the news of a failover that comes just then ends the connection permanently.
 */
class FailoverConnector extends SentinelConnector {
  /** Whether the last connection came about, and with it the listening. */
  #listens = false;

  override async connect(...args: Parameters<AbstractConnector['connect']>): ReturnType<SentinelConnector['connect']> {
    // Once: each call leaves a timer and a listener with every connection to a Sentinel.
    if (this.#listens) super.disconnect();
    this.#listens = false;
    const stream = await super.connect(...args);
    stream.once('connect', () => {
      this.#listens = true;
    });
    return stream;
  }
}

/** Refuses a server that may lose the farm's state. @throws RedisUnfit naming the setting. */
export async function assertRedisFit(
  redis: Redis,
  { appendOnly = 'required' }: Partial<Config['redis']> = {},
): Promise<void> {
  const version = /redis_version:(\d+)\.(\d+)/.exec(await redis.info('server'));
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new FarmError('RedisUnfit', `Redis ${major}.${minor} is too old: ${OLDEST.join('.')} or newer is needed.`);
  }
  const policy = /maxmemory_policy:(\S+)/.exec(await redis.info('memory'))?.[1];
  if (policy !== 'noeviction') {
    throw new FarmError('RedisUnfit', `Redis may evict state: its maxmemory-policy is "${policy ?? 'unknown'}".`);
  }
  if (appendOnly === 'required' && !/aof_enabled:1/.test(await redis.info('persistence'))) {
    throw new FarmError(
      'RedisUnfit',
      'Redis would lose accepted builds when it restarts: it has no append-only file (`appendonly yes`).',
    );
  }
}
