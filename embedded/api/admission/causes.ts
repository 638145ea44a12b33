import { ApiError, invalid, type StatusCause } from '../api-error.ts';
import type { KubeObject, ResourceKind } from '../objects.ts';

/** Collects the problems of an object, so that a refusal lists all of them. */
export class Causes {
  readonly causes: StatusCause[] = [];

  /** A value that is not permitted. */
  add(field: string, message: string): void {
    this.causes.push({ reason: 'FieldValueInvalid', field, message });
  }

  /** A value that must be there. */
  require(field: string, message: string): void {
    this.causes.push({ reason: 'FieldValueRequired', field, message });
  }

  /** Refuses as a webhook does (422), when there is anything to refuse. */
  refuseAs(webhook: string): void {
    if (this.causes.length === 0) return;
    const messages = this.causes.map((cause) => cause.message);
    throw new ApiError(422, 'Invalid', deniedBy(webhook, messages.join(', ')), { causes: this.causes });
  }

  /** Refuses as the API server's own validation does (422), when there is anything to refuse. */
  refuseField(kind: ResourceKind, object: KubeObject): void {
    if (this.causes.length > 0) throw invalid(kind, object.metadata.name, this.causes);
  }
}

/** How the API server words a webhook's refusal. */
export function deniedBy(webhook: string, message: string): string {
  return `admission webhook "${webhook}" denied the request: ${message}`;
}

/** A webhook's refusal without causes. */
export function denied(webhook: string, message: string, code: 400 | 403 = 400): ApiError {
  return new ApiError(code, code === 403 ? 'Forbidden' : 'BadRequest', deniedBy(webhook, message));
}
