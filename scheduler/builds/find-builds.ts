import type { Redis } from 'ioredis';
import type { z } from 'zod';
import type { buildsQuerySchema } from '../../common/contracts/api/parameters.ts';
import { type BuildPosition, readBuildPage, type StoredBuild } from '../../common/redis/builds.ts';

/** Builds that are read for one page of a search, so that no request reads all that there ever were. */
const MOST_READ = 5_000;

/** Filters for builds; absent ones do not apply. */
export type BuildFilter = Pick<z.output<typeof buildsQuerySchema>, 'state' | 'by' | 'search' | 'clones'>;

/**
 * A page of the builds that match, newest first, and where the next one starts; null at the end. It has at least half of
 * `limit`, unless no more exist, or `MOST_READ` were read. @throws RedisUnavailable
 */
export async function findBuilds(
  redis: Redis,
  criteria: BuildFilter,
  { limit, after }: { readonly limit: number; readonly after: BuildPosition | null },
): Promise<{ readonly builds: StoredBuild[]; readonly next: BuildPosition | null }> {
  const found: StoredBuild[] = [];
  let next = after;
  for (let read = 0; read < MOST_READ && found.length <= limit / 2; ) {
    // Never more than the page holds: a truncated page has no cursor for the next one.
    const size = limit - found.length;
    const page = await readBuildPage(redis, size, next);
    found.push(...page.builds.filter((build) => isMatch(build, criteria)));
    next = page.next;
    if (next === null) break;
    read += size;
  }
  return { builds: found, next };
}

function isMatch({ id, run, state, submittedBy, modules }: StoredBuild, criteria: BuildFilter): boolean {
  if (run !== null && !criteria.clones) return false;
  if (criteria.state !== undefined && !criteria.state.split(',').includes(state)) return false;
  if (criteria.by !== undefined && submittedBy !== criteria.by) return false;
  if (criteria.search === undefined) return true;
  const text = criteria.search.toLowerCase();
  return [id, submittedBy ?? '', ...modules.map(({ name }) => name)].some((word) => word.toLowerCase().includes(text));
}
