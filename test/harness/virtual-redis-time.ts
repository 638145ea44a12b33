import type { Redis } from 'ioredis';
import { REDIS_PREFIX } from '../../common/contracts/phases.ts';

/** The clock that the farm's scripts go by, as a test sets it. */
export interface VirtualTime {
  /** Lets time pass: for scripts, not for Redis' own expiry. */
  pass(ms: number): Promise<void>;
}

const OFFSET = `${REDIS_PREFIX}:test-clock`;

/** 2026-01-01, as Redis returns times. */
const FROZEN = "{ '1767225600', '0' }";

/**
 * Lets scripts of this connection read a clock that a test moves. Call it before the first script runs: it changes the one
 * line of them that asks Redis for the time. A frozen clock passes by nothing else than the test.
 */
export function useVirtualTime(redis: Redis, { isFrozen = false } = {}): VirtualTime {
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    const asked = "redis.call('TIME')";
    const lua = definition.lua.replace(
      asked,
      `(function ()
  local now = ${isFrozen ? FROZEN : asked}
  local passed = tonumber(redis.call('GET', '${OFFSET}') or 0)
  now[1], now[2] = tonumber(now[1]) + math.floor(passed / 1000), tonumber(now[2]) + passed % 1000 * 1000
  return now
end)()`,
    );
    define(name, { ...definition, lua });
  };
  return { pass: async (ms) => void (await redis.incrby(OFFSET, ms)) };
}
