import type { Logger } from '../logging/logger.ts';
import type { FarmMetrics } from './farm-metrics.ts';

/** Beyond this number texts differ only by names, and more of them add no information. */
const MAX_TEXTS = 100;

/**
 * Counts errors of the Kubernetes API, and logs the warnings of its servers, each text once per cluster; the observer of
 * every ClusterClient of a process.
 */
export function countTrouble({ apiErrors, watchRestarts }: FarmMetrics, logger: Logger) {
  const logged = new Set<string>();
  return {
    apiError: (cluster: string, status: number) => apiErrors.inc({ cluster, status: String(status) }),
    watchRestarted: (cluster: string, _plural: string, why: 'expired' | 'error') => watchRestarts.inc({ cluster, why }),
    warning: (cluster: string, text: string) => {
      const key = `${cluster} ${text}`;
      if (logged.has(key) || logged.size >= MAX_TEXTS) return;
      logged.add(key);
      logger.warn({ cluster, warning: text }, 'The cluster warns');
    },
  };
}
