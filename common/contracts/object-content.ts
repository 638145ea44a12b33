import { hash } from 'node:crypto';
import type { CompiledVm } from './module/compiled.ts';
import type { ObjectKeyRef } from './module/contents.ts';
import { objectKeyOfStep } from './module/step-types.ts';

/** Which key of which object it is, for people and as a name in records: `Secret "login" key "password"`. */
export function objectKeyName({ kind, name, key }: Pick<ObjectKeyRef, 'kind' | 'name' | 'key'>): string {
  return `${kind} "${name}" key "${key}"`;
}

/** The keys of ConfigMaps and Secrets that a VM is made from, in the order in which they are needed. */
export function objectKeysOf({ communicator, cloudInit, steps }: CompiledVm): ObjectKeyRef[] {
  const ofSteps = steps.map(objectKeyOfStep);
  return [communicator.sshPrivateKeySecret, cloudInit?.userDataFrom ?? null, ...ofSteps].filter((ref) => ref !== null);
}

/**
 * Content key of the value under a key of an object: planned once, and computed again before it is used to notice that
 * it has changed since. `fingerprint` is the farm's keyed hash, so a Secret cannot be guessed from its content key.
 */
export function contentIdentity(
  kind: ObjectKeyRef['kind'],
  content: Buffer | undefined,
  fingerprint: (secret: Buffer) => string,
): string {
  if (content === undefined) return 'absent';
  if (kind === 'Secret') return `hmac:${fingerprint(content)}`;
  return `sha256:${hash('sha256', content)}`;
}
