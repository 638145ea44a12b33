import { ApiError } from '../api-error.ts';
import { fieldAt, isJsonObject, type KubeObject } from '../objects.ts';

/** Phases in which a machine instance has ended. */
const FINAL_PHASES = new Set(['Succeeded', 'Failed']);

/** `status.phase` of an instance; empty before its first. */
export function phaseOf(instance: KubeObject): string {
  const phase = instance.status?.['phase'];
  return typeof phase === 'string' ? phase : '';
}

/** Whether the instance has ended and will not run again. */
export function isFinal(instance: KubeObject): boolean {
  return FINAL_PHASES.has(phaseOf(instance));
}

/** Whether a condition is present with status True. */
export function hasCondition(object: KubeObject, type: string): boolean {
  const conditions = object.status?.['conditions'];
  if (!Array.isArray(conditions)) return false;
  return conditions.some((item) => isJsonObject(item) && item['type'] === type && item['status'] === 'True');
}

/** Whether the instance is held: by a user, or by an I/O error. */
export function isPaused(instance: KubeObject): boolean {
  return hasCondition(instance, 'Paused');
}

/** Whether the guest can be asked to reboot: by its agent, or by ACPI. */
export function canSoftReboot(instance: KubeObject): boolean {
  return (
    hasCondition(instance, 'AgentConnected') ||
    fieldAt(instance.spec, 'domain', 'features', 'acpi', 'enabled') !== false
  );
}

/** A 409 in virt-api's words: the state of the machine does not permit the request. */
export function machineError(object: KubeObject, why: string): ApiError {
  const resource = object.kind.toLowerCase();
  const { name } = object.metadata;
  const message = `Operation cannot be fulfilled on ${resource}.kubevirt.io "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, { name, group: 'kubevirt.io', kind: resource });
}
