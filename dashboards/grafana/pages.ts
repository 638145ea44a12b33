import { CLUSTER_CAPACITY } from './cluster-capacity.ts';
import { type Dashboard, renderDashboard } from './dashboard.ts';
import { FAILURES_PAGE } from './failures.ts';
import { OVERVIEW } from './overview.ts';
import { PHASES_PAGE } from './phases.ts';
import { WORKERS_AND_QUEUES } from './workers-and-queues.ts';

/** All dashboards by the name of their file in `generated/`. */
export const DASHBOARDS: Readonly<Record<string, Dashboard>> = {
  overview: OVERVIEW,
  phases: PHASES_PAGE,
  'cluster-capacity': CLUSTER_CAPACITY,
  failures: FAILURES_PAGE,
  'workers-and-queues': WORKERS_AND_QUEUES,
};

/** Where the JSON of a dashboard lies, and its content. */
export function generatedFiles(): ReadonlyMap<URL, string> {
  return new Map(
    Object.entries(DASHBOARDS).map(([name, page]) => [
      new URL(`generated/${name}.json`, import.meta.url),
      `${JSON.stringify(renderDashboard(page), null, 2)}\n`,
    ]),
  );
}
