import type { Redis } from 'ioredis';

/** Lets scripts of this connection do so few works at once that small graphs need many portions. Call it before the first one. */
export function useSmallPortions(redis: Redis, works = 1): void {
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) =>
    define(name, { ...definition, lua: definition.lua.replace(/^local PORTION = \d+$/m, `local PORTION = ${works}`) });
}
