import type { ObjectKeyRef } from '../../common/contracts/module/compiled.ts';
import { contentIdentity, objectKeyName } from '../../common/contracts/object-content.ts';
import { readObjectKey } from '../../common/kubernetes/object-key.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';

/**
 * What stands under a key of a ConfigMap or Secret; null when it is missing and may be. It is what was planned: the
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
  throw new PhaseFailure('SourceUnreachable', `There is no ${name} on the cluster`);
}
