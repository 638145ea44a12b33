import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';
import type { Causes } from './causes.ts';

/** The feature that a Hyper-V feature depends on (KubeVirt's `pkg/defaults/hyperv.go`); dependants come first. */
const REQUIRED: readonly (readonly [feature: string, required: string])[] = [
  ['synictimer', 'synic'],
  ['synic', 'vpindex'],
  ['tlbflush', 'vpindex'],
  ['ipi', 'vpindex'],
  ['evmcs', 'vapic'],
];
const MIN_SPINLOCKS = 4096;

function isOn(hyperv: JsonObject, feature: string): boolean {
  const state = hyperv[feature];
  return isJsonObject(state) && state['enabled'] !== false;
}

/** Enables the dependencies of enabled features that the spec leaves open. */
export function fillHypervFeatures(domain: JsonObject): void {
  const hyperv = fieldAt(domain, 'features', 'hyperv');
  if (!isJsonObject(hyperv)) return;
  for (const [feature, required] of REQUIRED) {
    if (isOn(hyperv, feature)) hyperv[required] ??= { enabled: true };
  }
}

/** Refuses a feature whose requirement is switched off explicitly, and spinlock retries below the minimum. */
export function checkHypervFeatures(spec: JsonObject, field: string, causes: Causes): void {
  const hyperv = fieldAt(spec, 'domain', 'features', 'hyperv');
  if (!isJsonObject(hyperv)) return;
  const at = `${field}.domain.features.hyperv`;
  for (const [feature, required] of REQUIRED) {
    if (isOn(hyperv, feature) && !isOn(hyperv, required)) {
      causes.add(`${at}.${feature}`, `'${at}.${feature}' requires '${required}', which was disabled`);
    }
  }
  const retries = fieldAt(hyperv, 'spinlocks', 'spinlocks');
  if (typeof retries === 'number' && retries < MIN_SPINLOCKS) {
    causes.add(`${at}.spinlocks.spinlocks`, `'${at}.spinlocks.spinlocks' must be at least ${MIN_SPINLOCKS}`);
  }
}
