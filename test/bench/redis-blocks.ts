import type { Redis } from 'ioredis';

/** Redis's statistics of the commands of a span: every other client waited that long for the slowest. */
export class RedisBlocks {
  readonly #redis: Redis;

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Begins to watch commands that take 1 ms or longer. */
  static async watch(redis: Redis): Promise<RedisBlocks> {
    await redis.config('SET', 'latency-monitor-threshold', '1');
    const blocks = new RedisBlocks(redis);
    await blocks.longestMs();
    return blocks;
  }

  /** The slowest command since the last call, ms; forgotten with it. */
  async longestMs(): Promise<number> {
    const events = (await this.#redis.call('LATENCY', 'LATEST')) as [string, number, number, number][];
    await this.#redis.call('LATENCY', 'RESET');
    return Math.max(0, ...events.filter(([name]) => name.endsWith('command')).map(([, , , max]) => max));
  }
}
