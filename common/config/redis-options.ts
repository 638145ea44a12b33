import { z } from 'zod';

const serverAddress = z.string().regex(/^[^\s:/]+:\d{1,5}$|^\[[\da-f:.]+\]:\d{1,5}$/i);

/** Where Redis is. */
export const redisOptions = z
  .strictObject({
    url: z
      .string()
      .default('redis://127.0.0.1:6379')
      .describe(
        'Redis 6.2 or newer with `maxmemory-policy noeviction`; `rediss://` for TLS, with user and password of an ACL.',
      ),
    sentinels: z
      .array(serverAddress)
      .default([])
      .describe(
        'Sentinels as `HOST:PORT`, which locate the primary. User, password, database and TLS come from `redis.url`; its host and port are not used.',
      ),
    sentinelName: z.string().default('mymaster').describe('Name of the primary in the configuration of the Sentinels.'),
    cluster: z
      .array(serverAddress)
      .default([])
      .describe(
        'Nodes of a Redis Cluster as `HOST:PORT`, which locate the primary with the keys of the farm: all of them are in one hash slot. User, password and TLS come from `redis.url`; its host, port and database are not used. Name several nodes, because some of them may be down.',
      ),
    appendOnly: z
      .enum(['required', 'optional'])
      .default('required')
      .describe('Whether a server without an append-only file is refused: it loses accepted builds when it restarts.'),
  })
  .refine(({ sentinels, cluster }) => sentinels.length === 0 || cluster.length === 0, {
    path: ['cluster'],
    error: 'Sentinels lead to a single server and its replicas: set redis.sentinels or redis.cluster, not both',
  })
  .refine(({ url, cluster }) => cluster.length === 0 || !/\/[1-9]\d*$/.test(url), {
    path: ['url'],
    error: 'A Redis Cluster has only the database 0: remove the path of redis.url',
  })
  .prefault({})
  .describe('State and queues.');
