import type { ClusterClient } from './cluster-client.ts';
import type { ClusterEvent } from './objects.ts';
import { RESOURCES } from './resources.ts';

/** The last lines of a container's log. ApiError 400 when it has not started yet. */
export async function podLog(
  cluster: ClusterClient,
  pod: string,
  options: { readonly container?: string; readonly tailLines?: number; readonly signal?: AbortSignal } = {},
): Promise<string[]> {
  const { container, tailLines = 50, signal } = options;
  const path = `${cluster.path(RESOURCES.pods, pod, {})}/log`;
  const query = { container, tailLines, limitBytes: 256 * 1024 };
  const text = (await cluster.call({ method: 'GET', path, query }, signal ? { signal } : {})).toString();
  return text === '' ? [] : text.trimEnd().split('\n');
}

/** An object that Events may speak of. */
export interface EventSubject {
  readonly kind: string;
  readonly name: string;
}

/** The last warning Events of some objects, oldest first: `Pod/relay: FailedScheduling: 0/3 nodes … (x4)`. */
export async function eventsOf(
  cluster: ClusterClient,
  subjects: readonly EventSubject[],
  options: { readonly limit?: number; readonly signal?: AbortSignal } = {},
): Promise<string[]> {
  const { limit = 10, signal } = options;
  const lists = await Promise.all(
    subjects.map(({ kind, name }) =>
      cluster.list(RESOURCES.events, {
        fields: `involvedObject.kind=${kind},involvedObject.name=${name}`,
        ...(signal ? { signal } : {}),
      }),
    ),
  );
  return lists
    .flatMap(({ items }) => items)
    .filter((event) => event.type === 'Warning')
    .sort((a, b) => happenedAt(a).localeCompare(happenedAt(b)))
    .slice(-limit)
    .map(describe);
}

function happenedAt(event: ClusterEvent): string {
  return event.lastTimestamp ?? event.eventTime ?? event.metadata?.creationTimestamp ?? '';
}

function describe({ involvedObject, reason, message, count }: ClusterEvent): string {
  const times = count && count > 1 ? ` (x${count})` : '';
  return `${involvedObject?.kind}/${involvedObject?.name}: ${reason}: ${message?.trim()}${times}`;
}
