import type { ErrorKind } from './error-kinds.ts';
import { ERRORS, type ErrorCode } from './error-table.ts';

/** Values that explain an error; never secrets. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/**
 * The farm could not do its work. (A module that cannot be built is a result, not an error.)
 * Between processes only `{code, message, details}` travels: match on `code`, never on the message or the class.
 */
export class FarmError extends Error {
  override readonly name = 'FarmError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }
}

/** Remedy for an error: the one of the code that threw it (`details.solve`), else that of its row. */
export function solveOf({ code, details }: FarmError): string {
  const { solve } = details;
  return typeof solve === 'string' ? solve : ERRORS[code].solve;
}

/** Adds the failed operation to an error, keeping its code; foreign errors become `fallback`. */
export function wrapError(error: unknown, doing: string, fallback: ErrorCode = 'BrokenInvariant'): FarmError {
  const message = `${doing}: ${errorMessage(error)}`;
  return error instanceof FarmError
    ? new FarmError(error.code, message, { cause: error, details: error.details })
    : new FarmError(fallback, message, { cause: error });
}

/** The sentence of anything thrown. */
export function errorMessage(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(errorMessage).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}

/** A broken invariant is our own bug: it ends the operation with a sentence that states the violated assumption. */
export function assert(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new FarmError('BrokenInvariant', sentence);
}
