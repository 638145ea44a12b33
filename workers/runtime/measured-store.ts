import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import { createPhaseStore, type PhaseStoreOptions } from '../../common/redis/phase-store.ts';

/** The farm's state with counters of what this worker did. */
export function createMeasuredStore(
  options: Pick<PhaseStoreOptions, 'redis' | 'notices' | 'logLimits'>,
  metrics: FarmMetrics,
): PhaseStore {
  return createPhaseStore({
    ...options,
    onHandOff: (phase, elapsedMs) => metrics.handOff.observe({ phase }, elapsedMs / 1000),
    onCommit: ({ phase, outcome, reason, elapsedMs }) => {
      metrics.phaseJobs.inc({ phase, outcome, reason });
      metrics.phaseDuration.observe({ phase, outcome }, elapsedMs / 1000);
      if (outcome === 'requeue') metrics.retries.inc({ phase });
    },
  });
}
