import { FarmError } from '../errors/farm-error.ts';
import type { ClusterClient, ListOptions } from './cluster-client.ts';
import type { KubernetesObject } from './objects.ts';
import type { Resource } from './resources.ts';
import { watchObjects } from './watch-objects.ts';

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** How long to wait, in milliseconds. */
  readonly deadlineMs: number;
  /** What is waited for, for the error: "the disk to be imported". */
  readonly what: string;
}

/** What is there at the moment, by name. */
export type ObjectSet<T> = ReadonlyMap<string, T>;

/**
 * Waits by watch until `until` gives something for the object of that name (undefined when there is none, also after it
 * was deleted). An error thrown by `until` ends the wait. Outages of the cluster are sat out.
 * @throws DeadlineExceeded, the signal's reason, or ClusterUnfit when watching is not allowed.
 */
export function waitFor<T extends KubernetesObject, R>(
  cluster: ClusterClient,
  { resource, name }: { readonly resource: Resource<T>; readonly name: string },
  wait: WaitOptions & { readonly until: (object: T | undefined) => R | undefined },
): Promise<R> {
  const { until, ...options } = wait;
  return waitForSet(
    cluster,
    { resource, fields: `metadata.name=${name}` },
    { ...options, until: (objects) => until(objects.get(name)) },
  );
}

/** Waits until an object is gone, finalizers and all. Errors as `waitFor`. */
export async function waitUntilGone(
  cluster: ClusterClient,
  object: { readonly resource: Resource; readonly name: string },
  options: WaitOptions,
): Promise<void> {
  await waitFor(cluster, object, { ...options, until: (found) => (found ? undefined : true) });
}

/** The same for all objects of a selection together. */
export async function waitForSet<T extends KubernetesObject, R>(
  cluster: ClusterClient,
  selection: { readonly resource: Resource<T> } & Pick<ListOptions, 'labels' | 'fields'>,
  wait: WaitOptions & { readonly until: (objects: ObjectSet<T>) => R | undefined },
): Promise<R> {
  const { signal, deadlineMs, what, until } = wait;
  const { resource, ...selectors } = selection;
  const ended = new AbortController();
  const late = new FarmError('DeadlineExceeded', `Waited ${Math.round(deadlineMs / 1000)} s for ${what}, in vain`);
  cluster.clock.after(deadlineMs, ended.signal).then(
    () => ended.abort(late),
    () => undefined,
  );
  const objects = new Map<string, T>();
  try {
    const watching = AbortSignal.any([signal, ended.signal]);
    for await (const event of watchObjects(cluster, resource, { ...selectors, signal: watching })) {
      if (event.type === 'interrupted') {
        if (event.error.code === 'ClusterUnfit') throw event.error;
        continue;
      }
      if (event.type === 'resumed') continue;
      if (event.type === 'synced') {
        objects.clear();
        for (const object of event.objects) objects.set(object.metadata?.name ?? '', object);
      } else if (event.type === 'changed') objects.set(event.object.metadata?.name ?? '', event.object);
      else objects.delete(event.object.metadata?.name ?? '');
      const result = until(objects);
      if (result !== undefined) return result;
    }
    throw signal.aborted ? signal.reason : late;
  } finally {
    ended.abort();
  }
}
