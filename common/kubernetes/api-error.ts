import { FarmError } from '../errors/farm-error.ts';

/** The body of an error answer (Kubernetes `meta/v1` Status), as far as it is used. */
export interface ApiStatus {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
}

/**
 * The API refused this request: 400, 404, 409, 410, 415, 422, or a refusal by admission. Asking again does not
 * help. (No answer, 429 and 5xx are a FarmError `ClusterUnavailable`; missing rights are `ClusterUnfit`.)
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status. */
  readonly status: number;
  /** The API's own word, e.g. `NotFound`, `AlreadyExists`, `Invalid`. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** Another writer was faster, or the object is not in the state that the request needs. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.reason !== 'AlreadyExists';
}

/** The version to watch from is too old: list again. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}

/** Schema or admission refused the object itself, or something else has its name: asking again does not help. */
export function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && ([400, 403, 422].includes(error.status) || error.reason === 'AlreadyExists');
}

/** Maps the error of an answer: to `ApiError`, or to the FarmError of its status. */
export interface FailedAnswer {
  /** The request, e.g. `GET /api/v1/…`. */
  readonly asked: string;
  readonly status: number;
  readonly body: string;
  readonly retryAfterMs?: number;
}

/** Classifies an answer that is not 2xx. */
export function answerError(answer: FailedAnswer): ApiError | FarmError {
  const { message, reason } = readStatus(answer.body);
  const text = message ?? (answer.body.trim().slice(0, 500) || 'no explanation');
  if (answer.status === 429 || answer.status >= 500) {
    return new FarmError('ClusterUnavailable', `${answer.asked} answered ${answer.status}: ${text}`, {
      details: {
        status: answer.status,
        ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
      },
    });
  }
  // `exceeded quota: …`, and `failed quota: …` when the object lacks a limit that the quota counts.
  if (answer.status === 403 && /(exceeded|failed) quota/.test(text)) return new FarmError('NoCapacity', text);
  // Any other 403 refuses this object: by LimitRange, policy, a terminating namespace, or a reference.
  const missingRight = answer.status === 403 && /User "[^"]*" cannot /.test(text);
  if (answer.status === 401 || missingRight) {
    return new FarmError('ClusterUnfit', `${answer.asked} is not allowed: ${text}`, {
      details: { status: answer.status },
    });
  }
  return new ApiError(answer.status, reason ?? '', text);
}

function readStatus(body: string): ApiStatus {
  try {
    const status: unknown = JSON.parse(body);
    return typeof status === 'object' && status !== null ? status : {};
  } catch {
    return {};
  }
}
