import type { FailureReason } from '../../common/contracts/failures.ts';
import type { PhaseResult } from '../../common/contracts/phase-store.ts';
import { screenshot } from '../../common/kubernetes/machine-actions.ts';
import { buildNames } from '../cluster/build-names.ts';
import type { PhaseContext, PhaseExecutor } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';

/** Failures that the guest's screen may explain. */
const SHOWN: readonly FailureReason[] = ['GuestNeverAnswered', 'CloudInitFailed', 'StepTimeout', 'TypingInterrupted'];

/** Keeps a picture of the guest's screen as evidence of failures that it may explain. */
export function withScreenshot(executor: PhaseExecutor): PhaseExecutor {
  return {
    phase: executor.phase,
    execute: async (context) => {
      try {
        return await withEvidence(context, await executor.execute(context));
      } catch (error) {
        if (error instanceof PhaseFailure && !context.signal.aborted) return withEvidence(context, error.result);
        throw error;
      }
    },
  };
}

async function withEvidence(context: PhaseContext, result: PhaseResult): Promise<PhaseResult> {
  if (result.outcome !== 'failed' || !SHOWN.includes(result.failure.reason)) return result;
  return (await keep(context)) ? { ...result, failure: { ...result.failure, screenshot: true } } : result;
}

/** Losing the picture must not hide the failure. */
async function keep({ claim, cluster, store, signal, logger }: PhaseContext): Promise<boolean> {
  try {
    const png = await screenshot(cluster, buildNames(claim.job).machine(claim.job.vm), signal);
    if (png) await store.saveScreenshot(claim, png);
    return png !== undefined;
  } catch (error) {
    signal.throwIfAborted();
    logger.debug({ err: error }, 'There is no screenshot');
    return false;
  }
}
