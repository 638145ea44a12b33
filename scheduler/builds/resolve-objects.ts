import type { ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import { contentIdentity, objectKeyName } from '../../common/contracts/object-content.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { readObjectKey } from '../../common/kubernetes/object-key.ts';
import { eachOf } from './each-of.ts';

/** A cluster that does not answer within this is not waited for. */
const ANSWER_MS = 15_000;
const ABSENT = contentIdentity('ConfigMap', undefined, String);

/** A cluster whose farm namespace holds what modules name. */
export type ObjectCluster = Pick<ClusterClient, 'name' | 'get'>;

export interface ObjectSources {
  readonly clusters: readonly ObjectCluster[];
  /** The farm's keyed hash. */
  readonly fingerprint: (secret: Buffer) => string;
}

/**
 * Content keys of keys of ConfigMaps and Secrets, by `objectKeyName`. Where a module will be built is not decided yet,
 * and its layer is known by one key wherever it is: so the content must be the same on every cluster that answers. One
 * that does not answer is ignored; workers compare before they use an object.
 * @throws with the name of the key in `details.requested`: SourceUnreachable for a missing required object, ClustersDiffer;
 *   ClusterUnavailable when none answers
 */
export async function resolveObjects(
  refs: readonly ObjectKeyRef[],
  { clusters, fingerprint }: ObjectSources,
): Promise<Record<string, string>> {
  if (refs.length === 0) return {};
  const read = await Promise.all(clusters.map((cluster) => readAll(cluster, refs, fingerprint)));
  const answers = read.filter((answer) => answer !== undefined);
  const [first] = answers;
  if (!first) throw new FarmError('ClusterUnavailable', `${nameAll(refs)} could not be read: no cluster answers.`);
  refs.forEach((ref, index) => {
    const identity = first.identities[index];
    const other = answers.find((answer) => answer.identities[index] !== identity);
    if (other) throw clustersDiffer(ref, { first, other, index });
    if (identity === ABSENT && !ref.optional) {
      const requested = objectKeyName(ref);
      throw new FarmError('SourceUnreachable', `${requested} not found on cluster "${first.cluster}".`, {
        details: { requested },
      });
    }
  });
  return Object.fromEntries(refs.map((ref, index) => [objectKeyName(ref), first.identities[index] ?? ABSENT]));
}

interface Answer {
  readonly cluster: string;
  /** In the order of the references. */
  readonly identities: readonly string[];
}

/** Undefined when the cluster does not answer. */
async function readAll(
  cluster: ObjectCluster,
  refs: readonly ObjectKeyRef[],
  fingerprint: ObjectSources['fingerprint'],
): Promise<Answer | undefined> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  try {
    const identities = await eachOf(refs, async (ref) =>
      contentIdentity(ref.kind, await readObjectKey(cluster, ref, signal), fingerprint),
    );
    return { cluster: cluster.name, identities };
  } catch (error) {
    const isSilent = signal.aborted || (error instanceof FarmError && error.code === 'ClusterUnavailable');
    if (isSilent) return undefined;
    throw error;
  }
}

function clustersDiffer(
  ref: ObjectKeyRef,
  { first, other, index }: { readonly first: Answer; readonly other: Answer; readonly index: number },
): FarmError {
  const name = objectKeyName(ref);
  const lacking = [first, other].find(({ identities }) => identities[index] === ABSENT);
  const having = lacking === first ? other : first;
  const message = lacking
    ? `${name} exists on cluster "${having.cluster}" but not on cluster "${lacking.cluster}".`
    : `${name} differs between the clusters "${first.cluster}" and "${other.cluster}".`;
  return new FarmError('ClustersDiffer', message, { details: { requested: name } });
}

function nameAll(refs: readonly ObjectKeyRef[]): string {
  const [first, ...others] = refs.map(objectKeyName);
  return others.length === 0 ? `${first}` : `${first} (and ${others.length} more)`;
}
