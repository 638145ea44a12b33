import type { Clock } from '../clock/clock.ts';
import { FarmError } from '../errors/farm-error.ts';
import { anySignal } from '../lifecycle/any-signal.ts';
import type { ClusterClient, ListOptions } from './cluster-client.ts';
import type { KubernetesObject } from './objects.ts';
import type { Resource } from './resources.ts';
import { type WatchEvent, watchObjects } from './watch-objects.ts';

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** How long to wait, in milliseconds. */
  readonly deadlineMs: number;
  /** Subject of the wait, for the error: "the disk to be imported". */
  readonly what: string;
}

/** Requests another evaluation after so many milliseconds, also without a change: for states that must not last. */
export type LookAgain = (afterMs: number) => void;

/** The present objects, by name. */
export type ObjectSet<T> = ReadonlyMap<string, T>;

/**
 * Waits by watch until `until` gives something for the object of that name (undefined when there is none, also after it
 * was deleted). An error thrown by `until` ends the wait. It continues after outages of the cluster.
 * @throws DeadlineExceeded, the signal's reason, or ClusterUnfit when watching is not allowed.
 */
export function waitFor<T extends KubernetesObject, R>(
  cluster: ClusterClient,
  { resource, name }: { readonly resource: Resource<T>; readonly name: string },
  wait: WaitOptions & { readonly until: (object: T | undefined, lookAgain: LookAgain) => R | undefined },
): Promise<R> {
  const { until, ...options } = wait;
  return waitForSet(
    cluster,
    { resource, fields: `metadata.name=${name}` },
    { ...options, until: (objects, lookAgain) => until(objects.get(name), lookAgain) },
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
  wait: WaitOptions & { readonly until: (objects: ObjectSet<T>, lookAgain: LookAgain) => R | undefined },
): Promise<R> {
  const { signal, deadlineMs, what, until } = wait;
  const { resource, ...selectors } = selection;
  const ended = new AbortController();
  const late = new FarmError(
    'DeadlineExceeded',
    `Timed out after ${Math.round(deadlineMs / 1000)} s waiting for ${what}`,
  );
  const after = (ms: number, act: () => void) => {
    cluster.clock.after(ms, ended.signal).then(act, () => undefined);
  };
  after(deadlineMs, () => ended.abort(late));
  const objects = new Map<string, T>();
  try {
    return await new Promise<R>((resolve, reject) => {
      const look = () => {
        try {
          const result = until(objects, lookAgain);
          if (result !== undefined) resolve(result);
        } catch (error) {
          reject(error);
        }
      };
      const lookAgain = earliestOnly(cluster.clock, after, look);
      const watched = { ...selectors, signal: anySignal(signal, ended.signal) };
      follow(watchObjects(cluster, resource, watched), objects, look).then(
        () => reject(signal.aborted ? signal.reason : late),
        reject,
      );
    });
  } finally {
    ended.abort();
  }
}

/** Of several requests for another look the earliest counts; later ones may be made after that look. */
function earliestOnly(clock: Clock, after: (ms: number, act: () => void) => void, look: () => void): LookAgain {
  let dueAt = Number.POSITIVE_INFINITY;
  return (afterMs) => {
    const at = clock.now() + afterMs;
    if (at >= dueAt) return;
    dueAt = at;
    after(afterMs, () => {
      dueAt = Number.POSITIVE_INFINITY;
      look();
    });
  };
}

/** Keeps `objects` as they are in the cluster, and looks at them after each change. */
async function follow<T extends KubernetesObject>(
  events: AsyncIterable<WatchEvent<T>>,
  objects: Map<string, T>,
  look: () => void,
): Promise<void> {
  for await (const event of events) {
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
    look();
  }
}
