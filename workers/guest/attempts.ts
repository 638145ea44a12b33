import type { Clock } from '../../common/clock/clock.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import type { PhaseClaim, PhaseStore } from '../../common/contracts/phase-store.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';

/** One try to get into a guest. */
export interface LoginAttempt {
  /** Counts from 1. */
  readonly number: number;
  /** Since the first one began. */
  readonly elapsedMs: number;
  /** From the first one to the last one. */
  readonly timeoutMs: number;
  /** Error of the attempt; undefined when the guest answered. */
  readonly error: unknown;
}

export type OnAttempt = (attempt: LoginAttempt) => void;

/** Progress of an attempt: the reached part of the guest. */
export type AttemptEnd = 'no-address' | 'no-listener' | 'silent' | 'login-refused' | 'no-login' | 'slow' | 'other';

const WORDS: Readonly<Record<Exclude<AttemptEnd, 'other'>, string>> = {
  'no-address': 'no route to host',
  'no-listener': 'connection refused',
  silent: 'no answer',
  'login-refused': 'login refused',
  'no-login': 'connection closed before the login',
  slow: 'no login in time',
};

/** How far a try got, by its error. */
export function endOf(error: unknown): AttemptEnd {
  const text = errorMessage(error);
  if (/EHOSTUNREACH|ENETUNREACH/.test(text)) return 'no-address';
  if (text.includes('ECONNREFUSED')) return 'no-listener';
  const isLate = error instanceof Error && error.name === 'TimeoutError';
  if (isLate || /ETIMEDOUT|no answer within|did not answer within/.test(text)) return 'silent';
  if (text.includes('Timed out while waiting for handshake')) return 'slow';
  const level = error instanceof FarmError ? error.details['level'] : undefined;
  if (level === 'client-authentication') return 'login-refused';
  return level === undefined ? 'other' : 'no-login';
}

/** The error of an attempt in short form: "no route to host". */
export function describeAttemptError(error: unknown): string {
  const end = endOf(error);
  return end === 'other' ? errorMessage(error) : WORDS[end];
}

/** The same error is reported again after this time. */
const REPORT_AGAIN_MS = 30_000;
/** Shorter waits are not reported. */
const FIRST_MS = 2_000;

export interface AttemptReports {
  readonly claim: PhaseClaim;
  readonly store: Pick<PhaseStore, 'emit'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Reports the wait to the builds: when the error changes, at intervals while it stays, and at its end.
 * `what`: "SSH 10.0.2.2:22".
 */
export function reportAttempts({ claim, store, clock, logger }: AttemptReports, what: string): OnAttempt {
  let reported: { readonly error: string | null; readonly at: number } | undefined;
  return ({ number: tries, elapsedMs, timeoutMs, error }) => {
    const words = error === undefined ? null : describeAttemptError(error);
    const isNews = reported === undefined ? words !== null && elapsedMs >= FIRST_MS : words !== reported.error;
    if (!isNews && (reported === undefined || clock.now() - reported.at < REPORT_AGAIN_MS)) return;
    reported = words === null ? undefined : { error: words, at: clock.now() };
    const { vm, phase } = claim.job;
    const leftMs = Math.max(0, timeoutMs - elapsedMs);
    const about = { module: claim.spec.module.name, vm, phase };
    const event: FarmEvent = { event: 'phase-waiting', ...about, what, error: words, tries, elapsedMs, leftMs };
    store
      .emit(claim, event)
      .catch((cause: unknown) => logger.debug({ err: cause }, 'An attempt could not be reported'));
  };
}
