import type { JsonObject } from '../api/objects.ts';

/** One entry of `status.conditions`. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastProbeTime?: string | null;
  lastHeartbeatTime?: string;
  lastTransitionTime?: string;
}

/** A condition as it should be. */
export type DesiredCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

export function conditionsOf(status: JsonObject | undefined): readonly Condition[] {
  const conditions = status?.['conditions'];
  return Array.isArray(conditions) ? (conditions as Condition[]) : [];
}

export function findCondition(status: JsonObject | undefined, type: string): Condition | undefined {
  return conditionsOf(status).find((condition) => condition.type === type);
}

/** Sets a condition in place; the transition time moves only when the status does. */
export function setCondition(status: JsonObject, desired: DesiredCondition, now: string): void {
  const before = findCondition(status, desired.type);
  const lastTransitionTime = before?.status === desired.status ? (before.lastTransitionTime ?? now) : now;
  const next: Condition = { ...desired, lastTransitionTime };
  const rest = conditionsOf(status).filter((condition) => condition.type !== desired.type);
  const at = conditionsOf(status).findIndex((condition) => condition.type === desired.type);
  status['conditions'] = at < 0 ? [...rest, next] : [...rest.slice(0, at), next, ...rest.slice(at)];
}

/** Removes a condition in place: some are either True or absent. */
export function dropCondition(status: JsonObject, type: string): void {
  status['conditions'] = conditionsOf(status).filter((condition) => condition.type !== type);
}
