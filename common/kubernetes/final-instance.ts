import { END_FINALIZER } from '../contracts/object-keys.ts';
import { isConflict, isNotFound } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';

/**
 * Makes KubeVirt keep the final VMI of a machine that is about to be stopped: without it the only trace of a clean end
 * would be a passing watch event. Release it when its phase has been written down.
 */
export function holdFinalInstance(cluster: ClusterClient, vmi: string, signal: AbortSignal): Promise<void> {
  return changeFinalizers(cluster, vmi, { signal, change: (names) => [...new Set([...names, END_FINALIZER])] });
}

/** Releases a held VMI. No effect when it is not held, or gone. */
export function releaseFinalInstance(cluster: ClusterClient, vmi: string, signal: AbortSignal): Promise<void> {
  return changeFinalizers(cluster, vmi, { signal, change: (names) => names.filter((name) => name !== END_FINALIZER) });
}

interface FinalizerChange {
  readonly signal: AbortSignal;
  readonly change: (names: readonly string[]) => string[];
}

/** Reads, changes and writes on condition that there was no other write in between. */
async function changeFinalizers(
  cluster: ClusterClient,
  vmi: string,
  { signal, change }: FinalizerChange,
): Promise<void> {
  for (;;) {
    const found = await cluster.get(RESOURCES.instances, vmi, { signal });
    const { finalizers = [], resourceVersion, deletionTimestamp } = found?.metadata ?? {};
    const next = change(finalizers);
    // The API refuses to add finalizers to an object that is being deleted.
    const isForbidden = deletionTimestamp !== undefined && next.length > finalizers.length;
    if (!found || next.length === finalizers.length || isForbidden) return;
    try {
      const patch = { metadata: { resourceVersion, finalizers: next } };
      await cluster.mergePatch(RESOURCES.instances, vmi, patch, { signal });
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error)) throw error;
    }
  }
}
