import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type BuildState, buildStateSchema, type ModuleCounts } from '../contracts/builds.ts';
import { actionSchema, type ModuleResult, moduleResultSchema } from '../contracts/events.ts';
import { type Failure, failureSchema } from '../contracts/failures.ts';
import type { LayerSpec } from '../contracts/layers.ts';
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

const phaseRecordSchema = z.object({
  state: z.enum(['waiting', 'ready', 'queued', 'running', 'succeeded', 'failed', 'cancelled']),
  attempts: z.int(),
  /** How often it was given to a queue. */
  dispatch: z.int(),
  startedAt: z.number().optional(),
  finishedAt: z.number().optional(),
  /** When it became ready, or will. */
  readyAt: z.number().optional(),
  worker: z.string().optional(),
});

export type PhaseRecord = z.infer<typeof phaseRecordSchema>;

/** The shared work on a layer as it is stored. */
export interface StoredLayerBuild {
  readonly id: string;
  /** `stopping`: it has a verdict, and executors have yet to let go. */
  readonly state: BuildState | 'stopping';
  readonly generation: number;
  readonly cluster: string;
  readonly finishedAt: number | null;
  /** Of a clone with a machine that is up: when its time is over. */
  readonly runUntil: number | null;
  readonly spec: LayerSpec;
  readonly failure: Failure | null;
  /** By `<vm>/<phase>`. */
  readonly phases: ReadonlyMap<string, PhaseRecord>;
  /** By VM. */
  readonly failures: ReadonlyMap<string, Failure>;
  /** `<vm>/<step>/<event>` to time and event. */
  readonly steps: ReadonlyMap<string, { readonly at: number; readonly event: unknown }>;
  /** VMs with a picture. */
  readonly screens: ReadonlySet<string>;
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

/** Number of layer builds that have not ended. @throws RedisUnavailable */
export async function countLivingLayerBuilds(redis: Redis): Promise<number> {
  return readRedis(redis.scard(KEYS.living));
}

/** The same, of an owner. @throws RedisUnavailable */
export async function countLayersOf(redis: Redis, owner: string): Promise<number> {
  return Number((await readRedis(redis.hget(KEYS.layersOf, owner))) ?? 0);
}

/** Null when it was forgotten. @throws RedisUnavailable */
export async function readLayerBuild(redis: Redis, id: string): Promise<StoredLayerBuild | null> {
  const [layerBuild, phases, failures, steps, screens] = await readRedis(
    Promise.all([
      redis.hgetall(KEYS.layerBuild(id)),
      redis.hgetall(KEYS.layerBuildPhases(id)),
      redis.hgetall(KEYS.layerBuildFailures(id)),
      redis.hgetall(KEYS.layerBuildSteps(id)),
      redis.hkeys(KEYS.layerBuildScreens(id)),
    ]),
  );
  if (!layerBuild['state'] || !layerBuild['spec']) return null;
  return {
    id,
    state: z.union([buildStateSchema, z.literal('stopping')]).parse(layerBuild['state']),
    generation: Number(layerBuild['generation']),
    cluster: layerBuild['cluster'] ?? '',
    finishedAt: layerBuild['finishedAt'] ? Number(layerBuild['finishedAt']) : null,
    runUntil: layerBuild['runUntil'] ? Number(layerBuild['runUntil']) : null,
    spec: JSON.parse(layerBuild['spec']) as LayerSpec,
    failure: layerBuild['failure'] ? failureSchema.parse(JSON.parse(layerBuild['failure'])) : null,
    phases: new Map(Object.entries(phases).map(([field, text]) => [field, phaseRecordSchema.parse(JSON.parse(text))])),
    failures: new Map(Object.entries(failures).map(([vm, text]) => [vm, failureSchema.parse(JSON.parse(text))])),
    steps: new Map(Object.entries(steps).map(([field, text]) => [field, readStep(text)])),
    screens: new Set(screens),
  };
}

/** State of a layer build for the sweeper. Null when it is unknown. @throws RedisUnavailable */
export async function readLayerBuildState(
  redis: Redis,
  id: string,
): Promise<Pick<StoredLayerBuild, 'state' | 'generation' | 'finishedAt'> | null> {
  const [state, generation, finishedAt] = await readRedis(
    redis.hmget(KEYS.layerBuild(id), 'state', 'generation', 'finishedAt'),
  );
  if (!state) return null;
  return {
    state: z.union([buildStateSchema, z.literal('stopping')]).parse(state),
    generation: Number(generation),
    finishedAt: finishedAt ? Number(finishedAt) : null,
  };
}

/** The build that a layer build was begun for, and its module there; null when it was forgotten. @throws RedisUnavailable */
export async function readLayerBuildPlace(
  redis: Redis,
  id: string,
): Promise<{ readonly build: string; readonly module: string } | null> {
  const [build, module] = await readRedis(redis.hmget(KEYS.layerBuild(id), 'build', 'module'));
  return build && module ? { build, module } : null;
}

/** The picture kept of a VM (PNG), or null. @throws RedisUnavailable */
export async function readScreenshot(redis: Redis, layerBuild: string, vm: string): Promise<Buffer | null> {
  return readRedis(redis.hgetBuffer(KEYS.layerBuildScreens(layerBuild), vm));
}

/** Takes builds off the index whose records have expired. @throws RedisUnavailable */
export async function forgetBuilds(redis: Redis): Promise<void> {
  const oldest = await readRedis(redis.zrevrange(KEYS.builds, -100, -1));
  for (const id of oldest) {
    if ((await readRedis(redis.exists(KEYS.build(id)))) === 0) await readRedis(redis.zrem(KEYS.builds, id));
  }
}

function readStep(text: string): { at: number; event: unknown } {
  const space = text.indexOf(' ');
  return { at: Number(text.slice(0, space)), event: JSON.parse(text.slice(space + 1)) };
}
