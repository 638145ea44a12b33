import type { ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import { contentIdentity, objectKeyName } from '../../common/contracts/object-content.ts';
import { readObjectKey } from '../../common/kubernetes/object-key.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';

/**
 * Value under a key of a ConfigMap or Secret; null when it is missing and optional. It equals the planned value: the
 * layer's key was made from it.
 * @throws PhaseFailure `SourceChanged`, or `SourceUnreachable` when it is missing and must not be
 */
export async function readPlannedObject(
  { cluster, claim, farmKey }: Pick<PhaseContext, 'cluster' | 'claim' | 'farmKey'>,
  ref: ObjectKeyRef,
  signal: AbortSignal,
): Promise<Buffer | null> {
  const content = await readObjectKey(cluster, ref, signal);
  const name = objectKeyName(ref);
  const planned = claim.spec.objects[name];
  if (planned !== undefined && contentIdentity(ref.kind, content, farmKey.fingerprint) !== planned) {
    throw new PhaseFailure('SourceChanged', `${name} changed on the cluster since it was planned`);
  }
  if (content !== undefined) return content;
  if (ref.optional) return null;
  throw new PhaseFailure('SourceUnreachable', `${name} not found on the cluster`);
}
