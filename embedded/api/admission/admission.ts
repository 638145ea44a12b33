import type { Clock } from '../../../common/clock/clock.ts';
import type { KubeObject, ResourceKind } from '../objects.ts';
import type { Store } from '../store.ts';

/** A write by a client that is about to happen. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly kind: ResourceKind;
  /** A private copy: mutating rules edit it in place. For DELETE, the stored object. */
  readonly object: KubeObject;
  /** The stored object; absent for CREATE. */
  readonly previous: KubeObject | undefined;
  /** `status`, when only the status is written. */
  readonly subresource: string | undefined;
  readonly store: Store;
  readonly clock: Clock;
}

/** Looks at a write; edits `request.object`, or refuses by throwing an ApiError. */
export type AdmissionRule = (request: AdmissionRequest) => void;

/** The webhooks of the controllers and the built-in admission of the API server for one kind. */
export interface KindAdmission {
  /** Runs before schema validation. */
  readonly mutate?: AdmissionRule;
  /** Runs after schema validation. */
  readonly validate?: AdmissionRule;
}
