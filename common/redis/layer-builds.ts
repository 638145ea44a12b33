import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type BuildState, buildStateSchema } from '../contracts/builds.ts';
import { type Failure, failureSchema } from '../contracts/failures.ts';
import type { LayerSpec } from '../contracts/layers.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

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

function readStep(text: string): { at: number; event: unknown } {
  const space = text.indexOf(' ');
  return { at: Number(text.slice(0, space)), event: JSON.parse(text.slice(space + 1)) };
}
