import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type BuildState, buildStateSchema, type ModuleCounts } from '../contracts/builds.ts';
import { actionSchema, type ModuleResult, moduleResultSchema } from '../contracts/events.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

const moduleSchema = z.object({
  name: z.string(),
  action: actionSchema,
  layerKey: z.string(),
  /** Empty for builds that were accepted before this field existed. */
  why: z.string().default(''),
  /** Names, separated by spaces. */
  dependsOn: z.string(),
  layerBuild: z.string().optional(),
});

/** A module as a build knows it. */
export type BuildModule = z.infer<typeof moduleSchema>;

/** Modules that are read at once. */
const PIECE = 500;

/** The modules of a build as `readBuildModules` takes them. @throws RedisUnavailable */
export async function readStoredModules(redis: Redis, buildId: string): Promise<string> {
  const texts: string[] = [];
  for (let piece = await read(); ; piece = await read()) {
    texts.push(...piece);
    if (piece.length < PIECE) return `[${texts.join(',')}]`;
  }
  function read(): Promise<string[]> {
    const key = KEYS.buildModules(buildId);
    return readRedis(redis.lrange(key, texts.length, texts.length + PIECE - 1));
  }
}

/** A build's modules as scripts store them. */
export function readBuildModules(text: string): BuildModule[] {
  return z.array(moduleSchema).parse(JSON.parse(text));
}

/** A build as it is stored. */
export interface StoredBuild {
  readonly id: string;
  readonly state: BuildState;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly finishedAt: number | null;
  /** Name of the token that asked for it; null for a build of an older farm. */
  readonly submittedBy: string | null;
  /** Of a clone: `NAME:VERSION`. */
  readonly run: string | null;
  readonly counts: ModuleCounts;
  /** As it was planned; empty for a build of an older farm. */
  readonly criticalPath: readonly string[];
  readonly modules: readonly BuildModule[];
  /** Of modules that have ended, by name. */
  readonly results: ReadonlyMap<string, ModuleResult>;
}

/** Null when there is none, or it was forgotten. @throws RedisUnavailable */
export async function readBuild(redis: Redis, id: string): Promise<StoredBuild | null> {
  const head = await readHead(redis, id);
  if (!head) return null;
  const [modules, results] = await Promise.all([readStoredModules(redis, id), readResults(redis, id)]);
  return { ...head, modules: readBuildModules(modules), results: byName(results) };
}

/** The same with a part of its modules, and of their results. @throws RedisUnavailable */
export async function readPartOfBuild(
  redis: Redis,
  id: string,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<StoredBuild | null> {
  const head = await readHead(redis, id);
  if (!head) return null;
  const texts = await readRedis(redis.lrange(KEYS.buildModules(id), from, from + limit - 1));
  const modules = readBuildModules(`[${texts.join(',')}]`);
  if (modules.length === 0) return { ...head, modules, results: new Map() };
  const results = await readRedis(redis.hmget(KEYS.buildResults(id), ...modules.map(({ name }) => name)));
  return { ...head, modules, results: byName(results.flatMap((text) => (text === null ? [] : [readResult(text)]))) };
}

/** Whether there is such a build. @throws RedisUnavailable */
export async function isBuild(redis: Redis, id: string): Promise<boolean> {
  return (await readRedis(redis.hexists(KEYS.build(id), 'state'))) === 1;
}

async function readHead(redis: Redis, id: string): Promise<Omit<StoredBuild, 'modules' | 'results'> | null> {
  const [build, all, ended] = await readRedis(
    Promise.all([redis.hgetall(KEYS.build(id)), redis.llen(KEYS.buildModules(id)), redis.hlen(KEYS.buildResults(id))]),
  );
  if (!build['state']) return null;
  const [failed, cancelled] = [Number(build['failed'] ?? 0), Number(build['cancelled'] ?? 0)];
  return {
    id,
    state: buildStateSchema.parse(build['state']),
    createdAt: Number(build['createdAt']),
    finishedAt: build['finishedAt'] ? Number(build['finishedAt']) : null,
    submittedBy: build['submittedBy'] || null,
    run: build['run'] || null,
    counts: { all, open: all - ended, succeeded: ended - failed - cancelled, failed, cancelled },
    criticalPath: criticalPathSchema.parse(JSON.parse(build['criticalPath'] || '[]')),
  };
}

const criticalPathSchema = z.array(z.string());

function byName(results: readonly ModuleResult[]): ReadonlyMap<string, ModuleResult> {
  return new Map(results.map((result) => [result.name, result]));
}

function readResult(text: string): ModuleResult {
  return moduleResultSchema.parse(JSON.parse(text));
}

/** The modules of a build that have ended. @throws RedisUnavailable */
export async function readResults(redis: Redis, buildId: string): Promise<ModuleResult[]> {
  const found = new Map<string, ModuleResult>();
  let cursor = '0';
  do {
    const [next, entries] = await readRedis(redis.hscan(KEYS.buildResults(buildId), cursor, 'COUNT', PIECE));
    cursor = next;
    // One that comes twice is the same.
    for (let index = 0; index < entries.length; index += 2) {
      found.set(entries[index] ?? '', readResult(entries[index + 1] ?? ''));
    }
  } while (cursor !== '0');
  return [...found.values()];
}

/** Where a page of builds ended. */
export interface BuildPosition {
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly id: string;
}

/**
 * One page of builds, newest first, and where the next one starts; null at the end. Positions stay right when builds come
 * and go meanwhile. @throws RedisUnavailable
 */
export async function readBuildPage(
  redis: Redis,
  limit: number,
  after: BuildPosition | null,
): Promise<{ readonly builds: StoredBuild[]; readonly next: BuildPosition | null }> {
  // Builds of one millisecond follow each other by their ids, backwards.
  const beside = after ? await readRedis(redis.zrevrangebyscore(KEYS.builds, after.createdAt, after.createdAt)) : [];
  const entries = beside.filter((id) => after && id < after.id).map((id) => ({ id, createdAt: after?.createdAt ?? 0 }));
  const below = after ? `(${after.createdAt}` : '+inf';
  const older = await readRedis(
    redis.zrevrangebyscore(KEYS.builds, below, '-inf', 'WITHSCORES', 'LIMIT', 0, limit + 1),
  );
  for (let index = 0; index < older.length; index += 2) {
    entries.push({ id: older[index] ?? '', createdAt: Number(older[index + 1]) });
  }
  const page = entries.slice(0, limit);
  const builds = await Promise.all(page.map(({ id }) => readBuild(redis, id)));
  return {
    builds: builds.filter((build) => build !== null),
    next: entries.length > limit ? (page.at(-1) ?? null) : null,
  };
}

/** Takes builds off the index whose records have expired. @throws RedisUnavailable */
export async function forgetBuilds(redis: Redis): Promise<void> {
  const oldest = await readRedis(redis.zrevrange(KEYS.builds, -100, -1));
  for (const id of oldest) {
    if ((await readRedis(redis.exists(KEYS.build(id)))) === 0) await readRedis(redis.zrem(KEYS.builds, id));
  }
}
