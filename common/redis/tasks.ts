import type { Redis } from 'ioredis';
import { runScript } from './scripts.ts';

/** Works that one script touches; other commands are served between two of them. */
const PORTION = 50;

/**
 * Carries on what is left over of long tasks, to their end: builds that are submitted or cancelled, works that end because
 * another one has. Any number of processes may do so at once. Returns null: no later look is due. @throws RedisUnavailable
 */
export async function advance(redis: Redis): Promise<null> {
  while ((await runScript(redis, 'advance', [PORTION])) === 1);
  return null;
}
