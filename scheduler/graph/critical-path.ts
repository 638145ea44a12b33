import { PHASE_SECONDS } from '../../common/contracts/phases.ts';
import type { PlanJob } from '../../common/contracts/plans.ts';

/** Ids of the chain of jobs that lasts longest, first job first; empty without jobs. Jobs come after their dependencies. */
export function criticalPath(jobs: Iterable<PlanJob>): string[] {
  const finish = new Map<string, { readonly seconds: number; readonly before: string | undefined }>();
  let last: string | undefined;
  for (const job of jobs) {
    const before = latest(job.dependsOn, finish);
    const seconds = (finish.get(before ?? '')?.seconds ?? 0) + PHASE_SECONDS[job.phase];
    finish.set(job.id, { seconds, before });
    if (seconds > (finish.get(last ?? '')?.seconds ?? 0)) last = job.id;
  }
  const path: string[] = [];
  for (let id = last; id !== undefined; id = finish.get(id)?.before) path.push(id);
  return path.reverse();
}

/** The first of those that finish last. */
function latest(ids: readonly string[], finish: ReadonlyMap<string, { readonly seconds: number }>): string | undefined {
  let found: string | undefined;
  for (const id of ids) {
    if (found === undefined || (finish.get(id)?.seconds ?? 0) > (finish.get(found)?.seconds ?? 0)) found = id;
  }
  return found;
}
