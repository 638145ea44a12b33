/** Why the farm could not do something; decides retry, HTTP status and log level. */
export type ErrorKind =
  | 'invalid'
  | 'precondition'
  | 'exhausted'
  | 'unavailable'
  | 'deadline'
  | 'cancelled'
  | 'internal';

/** Consequences of an error's kind: whether a queued phase is tried again, and the log level. */
export interface KindPolicy {
  readonly retry: 'never' | 'backoff' | 'when-capacity';
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export const KIND_POLICY: Readonly<Record<ErrorKind, KindPolicy>> = {
  invalid: { retry: 'never', logLevel: 'info' },
  precondition: { retry: 'never', logLevel: 'info' },
  exhausted: { retry: 'when-capacity', logLevel: 'info' },
  unavailable: { retry: 'backoff', logLevel: 'warn' },
  deadline: { retry: 'never', logLevel: 'warn' },
  cancelled: { retry: 'never', logLevel: 'debug' },
  internal: { retry: 'never', logLevel: 'error' },
};
