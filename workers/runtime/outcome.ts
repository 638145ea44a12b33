import { FAILURES, type FailureReason } from '../../common/contracts/failures.ts';
import type { PhaseResult } from '../../common/contracts/phase-store.ts';
import { KIND_POLICY } from '../../common/errors/error-kinds.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { isRefusal } from '../../common/kubernetes/api-error.ts';
import { moduleFailure, PhaseFailure } from '../context/phase-failure.ts';
import { Draining } from './drain.ts';

const NO_CAPACITY_MS = 5_000;

/**
 * Outcome of a phase that threw an error; null when this worker may no longer commit it. A transient error becomes
 * `Fault`, which the store counts and repeats with growing pauses; what repeating cannot heal ends the module.
 */
export function resultOf(error: unknown): PhaseResult | null {
  if (error instanceof PhaseFailure) return error.result;
  if (error instanceof Draining) {
    return { outcome: 'requeue', afterMs: 0, why: error.message, isPlanned: true };
  }
  if (isRefusal(error)) return moduleFailure('ClusterRefused', error.message);
  if (!(error instanceof FarmError)) return moduleFailure('Fault', errorMessage(error));
  if (error.code === 'Superseded') return null;
  if (error.kind === 'cancelled') return { outcome: 'cancelled' };
  const { retry } = KIND_POLICY[error.kind];
  if (retry === 'when-capacity') return { outcome: 'requeue', afterMs: NO_CAPACITY_MS, why: error.message };
  if (retry === 'backoff') return moduleFailure('Fault', error.message);
  return moduleFailure(isReason(error.code) ? error.code : 'RetriesExhausted', error.message);
}

function isReason(code: string): code is FailureReason {
  return Object.hasOwn(FAILURES, code);
}
