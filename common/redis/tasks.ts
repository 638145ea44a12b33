import type { Redis } from 'ioredis';
import { runScript } from './scripts.ts';

/**
 * Continues unfinished long tasks to their end: builds that are submitted or cancelled, layer builds that end because
 * another one has. Any number of processes may do so at once. Returns null: no later look is due. @throws RedisUnavailable
 */
export async function advance(redis: Redis): Promise<null> {
  while ((await runScript(redis, 'advance', [])) === 1);
  return null;
}
