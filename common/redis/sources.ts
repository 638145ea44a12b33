import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** Record of a shared source on a cluster. Times are in ms since the Unix epoch. */
export interface StoredSource {
  /** Its name for readers, e.g. its URL; null: not used since the farm discovered it. */
  readonly what: string | null;
  readonly usedAt: number;
  /** When it may go; null: builds that have not ended use it. */
  readonly keepUntil: number | null;
}

const dueReply = z.tuple([z.number()], z.string());

/** Sources are looked at in portions of so many. */
const MOST_DUE = 100;

/** The sources of a cluster that may go or are going, and in how many ms the next one may (Infinity: none). @throws RedisUnavailable */
export async function readDueSources(redis: Redis, cluster: string): Promise<{ due: string[]; nextMs: number }> {
  const [nextMs, ...due] = dueReply.parse(await runScript(redis, 'due-sources', [cluster, MOST_DUE]));
  return { due, nextMs: nextMs < 0 ? Number.POSITIVE_INFINITY : nextMs };
}

/** A source as its cluster shows it. `cloned`: a volume is being made from it. */
export interface ShownSource {
  readonly name: string;
  readonly shown: 'there' | 'cloned' | 'gone';
}

/**
 * Decides whether a source is removed. `going`: no build will use these objects, remove them; `gone`: its record is deleted. One that the farm
 * does not know is kept for `unknownMs`. @throws RedisUnavailable
 */
export async function retireSource(
  redis: Redis,
  cluster: string,
  { name, shown, unknownMs }: ShownSource & { readonly unknownMs: number },
): Promise<'kept' | 'going' | 'gone'> {
  const reply = await runScript(redis, 'retire-source', [cluster, name, shown, randomUUID(), unknownMs]);
  return z.enum(['kept', 'going', 'gone']).parse(reply);
}

/** Records of these sources, by name. @throws RedisUnavailable */
export async function readSources(
  redis: Redis,
  cluster: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, StoredSource>> {
  const known = names.map(async (name): Promise<[string, StoredSource][]> => {
    const [[what, usedAt, keepUntil], users] = await Promise.all([
      redis.hmget(KEYS.source(cluster, name), 'what', 'usedAt', 'keepUntil'),
      redis.scard(KEYS.sourceUsers(cluster, name)),
    ]);
    if (!usedAt) return [];
    return [
      [name, { what: what ?? null, usedAt: Number(usedAt), keepUntil: users > 0 ? null : Number(keepUntil ?? usedAt) }],
    ];
  });
  return new Map((await readRedis(Promise.all(known))).flat());
}
