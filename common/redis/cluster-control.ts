import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Limits } from '../contracts/builds.ts';
import { type ClusterChange, type ClusterMode, clusterModeSchema, type Labels } from '../contracts/cluster-control.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A cluster as it is configured. */
export interface ConfiguredCluster {
  readonly name: string;
  readonly limits: Limits;
  readonly labels: Labels;
}

/** Present settings of a cluster. */
export interface ClusterControl {
  readonly mode: ClusterMode;
  /** Author and time (ms since the Unix epoch) of the last change; null: it is as it is configured. */
  readonly changed: { readonly by: string; readonly at: number } | null;
  readonly limits: Limits;
  readonly labels: Labels;
}

/** How limits are stored: as the script takes them. */
const LIMITS = {
  imports: { field: 'limit/imports', unit: 1 },
  vms: { field: 'limit/vms', unit: 1 },
  cpu: { field: 'limit/cpu', unit: 1000 },
  memoryBytes: { field: 'limit/memory', unit: 1 },
} as const satisfies Record<keyof Limits, object>;
const LIMIT_NAMES = Object.keys(LIMITS) as (keyof Limits)[];
const LABEL = 'label/';

const labelSchema = z.string().nullable();

/** The configuration with later changes by people. @throws RedisUnavailable */
export async function readControl(redis: Redis, { name, ...configured }: ConfiguredCluster): Promise<ClusterControl> {
  const stored = await readRedis(redis.hgetall(KEYS.control(name)));
  const limits = LIMIT_NAMES.flatMap((limit) => {
    const text = stored[LIMITS[limit].field];
    return text === undefined ? [] : [[limit, Number(text) / LIMITS[limit].unit] as const];
  });
  const labels = new Map(Object.entries(configured.labels));
  for (const [field, text] of Object.entries(stored)) {
    if (!field.startsWith(LABEL)) continue;
    const value = labelSchema.parse(JSON.parse(text));
    if (value === null) labels.delete(field.slice(LABEL.length));
    else labels.set(field.slice(LABEL.length), value);
  }
  return {
    mode: clusterModeSchema.parse(stored['mode'] ?? 'open'),
    changed: stored['by'] === undefined ? null : { by: stored['by'], at: Number(stored['at']) },
    limits: { ...configured.limits, ...Object.fromEntries(limits) },
    labels: Object.fromEntries(labels),
  };
}

/** Changes it for all schedulers at once; dispatchers look again. @throws RedisUnavailable */
export async function changeControl(redis: Redis, cluster: string, change: ClusterChange, by: string): Promise<void> {
  const fields: Record<string, string | null> = change.mode === undefined ? {} : { mode: change.mode };
  for (const limit of LIMIT_NAMES) {
    const value = change.limits?.[limit];
    const { field, unit } = LIMITS[limit];
    if (value !== undefined) fields[field] = value === null ? null : String(Math.floor(value * unit));
  }
  for (const [key, value] of Object.entries(change.labels ?? {})) fields[`${LABEL}${key}`] = JSON.stringify(value);
  await runScript(redis, 'control', [cluster, by, JSON.stringify(fields)]);
}
