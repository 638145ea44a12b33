import type { FarmMetrics } from './farm-metrics.ts';

/** Counts trouble with the Kubernetes API; the observer of every ClusterClient of a process. */
export function countTrouble({ apiErrors, watchRestarts }: FarmMetrics) {
  return {
    apiError: (cluster: string, status: number) => apiErrors.inc({ cluster, status: String(status) }),
    watchRestarted: (cluster: string, _plural: string, why: 'expired' | 'error') => watchRestarts.inc({ cluster, why }),
  };
}
