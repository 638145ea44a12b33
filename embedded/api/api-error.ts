import type { JsonObject, ObjectKey, ResourceKind } from './objects.ts';

/** `reason` of a Kubernetes Status, see apimachinery's StatusReason. */
export type StatusReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Expired'
  | 'Invalid'
  | 'RequestEntityTooLarge'
  | 'TooManyRequests'
  | 'UnsupportedMediaType'
  | 'InternalError'
  | 'Timeout'
  | 'ServiceUnavailable';

/** One field that was refused, as in `Status.details.causes`. */
export interface StatusCause {
  readonly reason:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueForbidden'
    | 'ResourceVersionTooLarge';
  readonly message: string;
  readonly field: string;
}

/** `details` of a Kubernetes Status. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly (Omit<StatusCause, 'field'> & { readonly field?: string })[];
  readonly retryAfterSeconds?: number;
}

/** A refusal in the terms of the Kubernetes API; travels to clients as a `Status` object with this code. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status. */
  readonly code: number;
  readonly reason: StatusReason;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: StatusReason, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The body that the API answers. */
  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

type NamedKind = Pick<ResourceKind, 'group' | 'plural' | 'kind'>;

/** How errors name a resource: `plural.group`. */
function qualified(kind: NamedKind): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

function detailsOf(kind: NamedKind, name: string): StatusDetails {
  return { name, group: kind.group, kind: kind.plural };
}

/** 404: the object does not exist. */
export function notFound(kind: NamedKind, key: ObjectKey): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(kind)} "${key.name}" not found`, detailsOf(kind, key.name));
}

/** 409: an object of that name is there already. */
export function alreadyExists(kind: NamedKind, key: ObjectKey): ApiError {
  const message = `${qualified(kind)} "${key.name}" already exists`;
  return new ApiError(409, 'AlreadyExists', message, detailsOf(kind, key.name));
}

/** 409: the object differs from the caller's version. */
export function conflict(kind: NamedKind, key: ObjectKey, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(kind)} "${key.name}": ${why}`;
  return new ApiError(409, 'Conflict', message, detailsOf(kind, key.name));
}

/** 403: forbidden for every client in the object's present state. */
export function forbidden(kind: NamedKind, key: ObjectKey, why: string): ApiError {
  const message = `${qualified(kind)} "${key.name}" is forbidden: ${why}`;
  return new ApiError(403, 'Forbidden', message, detailsOf(kind, key.name));
}

/** A fault in the object's fields: 422 with one cause per field. */
export function invalid(kind: NamedKind, name: string, causes: readonly StatusCause[]): ApiError {
  const listed = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const text = listed.length === 1 ? listed[0] : `[${listed.join(', ')}]`;
  const subject = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  const details: StatusDetails = { name, group: kind.group, kind: kind.kind, causes };
  return new ApiError(422, 'Invalid', `${subject} "${name}" is invalid: ${text}`, details);
}

/** 400: the request itself cannot be understood. */
export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

/** 415: the body is of a media type that is not read here. */
export function unsupportedBody(why: string): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - ${why}`);
}

/** The watch or list position is older than the history of the server. */
export function expired(resourceVersion: string, oldest: number): ApiError {
  return new ApiError(410, 'Expired', `too old resource version: ${resourceVersion} (${oldest})`);
}

/** 504: a list at a position that the server has not reached yet. */
export function resourceVersionTooLarge(requested: number, current: number): ApiError {
  const message = 'Too large resource version';
  return new ApiError(504, 'Timeout', `Timeout: ${message}: ${requested}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message }],
    retryAfterSeconds: 1,
  });
}
