import type { Redis } from 'ioredis';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Waiting gangs that are read; places beyond these are not reported. */
const MOST_READ = 500;

/** A layer build as admission sees it. */
export interface AdmissionRecord {
  readonly id: string;
  readonly module: string;
  readonly owner: string;
  readonly build: string;
  readonly urgency: number;
  readonly priority: number;
  readonly vms: number;
  readonly cpu: number;
  readonly memoryBytes: number;
  /** When it got its machines (ms since the Unix epoch); null: not yet. */
  readonly admittedAt: number | null;
  /** Of a clone: when its time is over. */
  readonly runUntil: number | null;
  /** How long machines of the module held their slots before (ms); null: not known. */
  readonly lastsMs: number | null;
}

const FIELDS = ['module', 'owner', 'build', 'urgency', 'priority', 'shape', 'admittedAt', 'runUntil'] as const;

/** These layer builds; without those that were forgotten. @throws RedisUnavailable */
export async function readAdmissions(redis: Redis, ids: readonly string[]): Promise<AdmissionRecord[]> {
  const rows = await readRedis(Promise.all(ids.map((id) => redis.hmget(KEYS.layerBuild(id), ...FIELDS))));
  const modules = [...new Set(rows.flatMap(([module]) => module ?? []))];
  const fields = modules.map((module) => `machines/${module}`);
  const known = fields.length === 0 ? [] : await readRedis(redis.hmget(KEYS.durations, ...fields));
  const lasts = new Map(modules.map((module, index) => [module, numberOf(known[index])]));
  return rows.flatMap(([module, owner, build, urgency, priority, shape, admittedAt, runUntil], index) => {
    const [vms = 0, milliCpu = 0, memoryBytes = 0] = (shape ?? '').split('-').map(Number);
    if (!module || !owner || !build) return [];
    const size = { vms, cpu: milliCpu / 1000, memoryBytes };
    return [
      {
        ...{ id: ids[index] ?? '', module, owner, build, urgency: Number(urgency), priority: Number(priority) },
        ...{ ...size, admittedAt: numberOf(admittedAt), runUntil: numberOf(runUntil) },
        lastsMs: lasts.get(module) ?? null,
      },
    ];
  });
}

/** A place of those that wait on a cluster, by the time since when (ms since the Unix epoch). */
export interface WaitingEntry {
  readonly member: string;
  readonly since: number;
}

/** Modules and imports that wait for admission, the longest first, at most 500, and their number. @throws RedisUnavailable */
export async function readWaitingEntries(
  redis: Redis,
  cluster: string,
  kind: 'imports' | 'gangs',
): Promise<{ readonly entries: readonly WaitingEntry[]; readonly count: number }> {
  const key = KEYS.waiting(cluster, kind);
  const [rows, count] = await readRedis(
    Promise.all([redis.zrange(key, 0, String(MOST_READ - 1), 'WITHSCORES'), redis.zcard(key)]),
  );
  const entries: WaitingEntry[] = [];
  for (let index = 0; index < rows.length; index += 2) {
    entries.push({ member: rows[index] ?? '', since: Number(rows[index + 1]) });
  }
  return { entries, count };
}

/** How long an import of a cluster takes (ms); null: not known. @throws RedisUnavailable */
export async function readImportMs(redis: Redis, cluster: string): Promise<number | null> {
  return numberOf(await readRedis(redis.hget(KEYS.durations, `import/${cluster}`)));
}

/** The clock that times of layer builds are of, ms since the Unix epoch. @throws RedisUnavailable */
export async function readFarmTime(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await readRedis(redis.time());
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

function numberOf(text: string | null | undefined): number | null {
  return text ? Number(text) : null;
}
