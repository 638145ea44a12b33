import { KIND_POLICY } from '../../common/errors/error-kinds.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { PhaseExecutor } from '../context/phase-context.ts';

/** Logs the start of each execution and exactly one end. */
export function withLogging(executor: PhaseExecutor): PhaseExecutor {
  return {
    phase: executor.phase,
    execute: async (context) => {
      const { claim, clock, logger } = context;
      const startedAt = clock.now();
      logger.info({ epoch: claim.epoch, formerClaims: claim.formerClaims }, 'Phase started');
      try {
        const result = await executor.execute(context);
        logger.info({ outcome: result.outcome, durationMs: clock.now() - startedAt }, 'Phase ended');
        return result;
      } catch (error) {
        const level = error instanceof FarmError ? KIND_POLICY[error.kind].logLevel : 'info';
        logger[level]({ err: error, durationMs: clock.now() - startedAt }, 'Phase ended by an error');
        throw error;
      }
    },
  };
}
