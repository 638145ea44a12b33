import type { Redis } from 'ioredis';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import type { Notices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';

/** The farm's state with counters of what this worker did. */
export function createMeasuredStore(
  options: { readonly redis: Redis; readonly notices: Notices },
  metrics: FarmMetrics,
): PhaseStore {
  const store = createPhaseStore({
    ...options,
    onHandOff: (phase, elapsedMs) => metrics.handOff.observe({ phase }, elapsedMs / 1000),
    onCommit: (phase, outcome, elapsedMs) => {
      metrics.phaseDuration.observe({ phase, outcome }, elapsedMs / 1000);
      if (outcome === 'requeue') metrics.retries.inc({ phase });
    },
  });
  return {
    ...store,
    commit: async (claim, result) => {
      await store.commit(claim, result);
      const reason = result.outcome === 'failed' ? result.failure.reason : '';
      metrics.phaseJobs.inc({ phase: claim.job.phase, outcome: result.outcome, reason });
    },
  };
}
