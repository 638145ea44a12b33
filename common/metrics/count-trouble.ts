import type { Logger } from '../logging/logger.ts';
import type { FarmMetrics } from './farm-metrics.ts';

/** Beyond that many, texts differ by what they name, and more of them say nothing new. */
const MAX_TEXTS = 100;

/**
 * Counts trouble with the Kubernetes API, and logs what its servers warn of, each text once a cluster; the observer of
 * every ClusterClient of a process.
 */
export function countTrouble({ apiErrors, watchRestarts }: FarmMetrics, logger: Logger) {
  const said = new Set<string>();
  return {
    apiError: (cluster: string, status: number) => apiErrors.inc({ cluster, status: String(status) }),
    watchRestarted: (cluster: string, _plural: string, why: 'expired' | 'error') => watchRestarts.inc({ cluster, why }),
    warning: (cluster: string, text: string) => {
      const key = `${cluster} ${text}`;
      if (said.has(key) || said.size >= MAX_TEXTS) return;
      said.add(key);
      logger.warn({ cluster, warning: text }, 'The cluster warns');
    },
  };
}
