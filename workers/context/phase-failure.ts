import { type Failure, type FailureReason, failureSchema } from '../../common/contracts/failures.ts';
import type { PhaseResult } from '../../common/contracts/phase-store.ts';

/** Evidence that explains a failure, beyond its message. */
export type Evidence = Partial<Omit<Failure, 'reason' | 'message'>>;

/** The result of a module that cannot be built. */
export function moduleFailure(reason: FailureReason, message: string, evidence: Evidence = {}): PhaseResult {
  return { outcome: 'failed', failure: failureSchema.parse({ reason, message, ...evidence }) };
}

/** A module's failure found deep inside an executor; the runtime turns it into the result that it carries. */
export class PhaseFailure extends Error {
  override readonly name = 'PhaseFailure';
  readonly failure: Failure;

  constructor(reason: FailureReason, message: string, options: { cause?: unknown; evidence?: Evidence } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.failure = failureSchema.parse({ reason, message, ...options.evidence });
  }

  get result(): PhaseResult {
    return { outcome: 'failed', failure: this.failure };
  }
}
