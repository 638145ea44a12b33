import type { KubernetesObject } from '../../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import type { PhaseContext } from '../../context/phase-context.ts';

/** A source that builds share, on the cluster. */
export interface SourceInUse {
  readonly name: string;
  /** As `slipway df` shows it. */
  readonly what: string;
}

/** Objects of a source, in the order of their creation. */
const PARTS: readonly Resource<KubernetesObject>[] = [RESOURCES.dataVolumes, RESOURCES.claims, RESOURCES.snapshots];

interface FoundPart {
  readonly resource: Resource<KubernetesObject>;
  readonly uid: string;
}

/**
 * Holds a source, whole or not, until the build has ended. Where the farm removes it, because no build has used it for long, this
 * waits until it is gone: then it is to be imported again.
 */
export async function holdSource(context: PhaseContext, source: SourceInUse): Promise<void> {
  const { store, claim } = context;
  const use = { ...source, keepMs: 0 };
  let removal = await store.useSource(claim, use);
  while (removal !== null) {
    const found = await findParts(context, source.name);
    // Objects created after the removal are not removed.
    const still = await store.useSource(claim, use);
    if (still === removal) await untilGone(context, source.name, found);
    removal = still === removal ? await store.useSource(claim, use, removal) : still;
  }
}

/** The source is whole: it is kept for `isoCacheTTL` after the last build that used it. */
export async function keepSource({ store, claim }: PhaseContext, source: SourceInUse): Promise<void> {
  await store.useSource(claim, { ...source, keepMs: claim.spec.module.isoCacheTtlMs });
}

async function findParts({ cluster, signal }: PhaseContext, name: string): Promise<FoundPart[]> {
  const found = await Promise.all(
    PARTS.map(async (resource) => ({ resource, object: await cluster.get(resource, name, { signal }) })),
  );
  return found.flatMap(({ resource, object }) => (object ? [{ resource, uid: object.metadata?.uid ?? '' }] : []));
}

async function untilGone(
  { cluster, claim, signal }: PhaseContext,
  name: string,
  parts: readonly FoundPart[],
): Promise<void> {
  const wait = {
    signal,
    deadlineMs: claim.spec.module.timeoutMs,
    what: `the source "${name}", which no build had used for long, to be removed`,
  };
  const gone = parts.map(({ resource, uid }) => {
    const until = (object?: KubernetesObject) => (object?.metadata?.uid === uid ? undefined : true);
    return waitFor(cluster, { resource, name }, { ...wait, until });
  });
  await Promise.all(gone);
}
