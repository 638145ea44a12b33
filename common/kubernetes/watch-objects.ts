import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { FarmError, wrapError } from '../errors/farm-error.ts';
import { answerError, isExpired } from './api-error.ts';
import { type ClusterClient, type ListOptions, selectors } from './cluster-client.ts';
import type { KubernetesObject, ObjectMeta } from './objects.ts';
import type { Resource } from './resources.ts';
import { backoffMs } from './retry.ts';
import { isSilence } from './transport.ts';

/**
 * Events of a watch. `synced` carries all matching objects, first and after each relist: objects that are not in it are
 * gone. `interrupted` means that the cluster does not answer at the moment; the loop continues by itself, and `resumed`
 * means that it continues from its former position.
 */
export type WatchEvent<T> =
  | { readonly type: 'synced'; readonly objects: readonly T[] }
  | { readonly type: 'changed'; readonly object: T }
  | { readonly type: 'deleted'; readonly object: T }
  | { readonly type: 'interrupted'; readonly error: FarmError }
  | { readonly type: 'resumed' };

export interface WatchOptions extends Pick<ListOptions, 'labels' | 'fields' | 'namespace'> {
  readonly signal: AbortSignal;
  /** The server ends a watch after this long, so that a lost end is noticed. @defaultValue 240 */
  readonly timeoutSeconds?: number;
  /**
   * Silence after which the connection is replaced. It is not an outage by itself: a server may have no events, not even
   * bookmarks, while none of the objects that it caches change. @defaultValue 100 s
   */
  readonly idleMs?: number;
}

interface RawEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T & { readonly code?: number };
}

/**
 * Lists, then watches, without end: continues from the last version when a watch ends or breaks, lists again when that
 * version is too old (HTTP 410 or an ERROR event), backs off with jitter while the cluster does not answer.
 * Ends when `signal` is aborted, and never throws.
 */
export function watchObjects<T extends KubernetesObject>(
  cluster: ClusterClient,
  resource: Resource<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  return new ObjectWatch(cluster, resource, options).events();
}

class ObjectWatch<T extends KubernetesObject> {
  readonly #cluster: ClusterClient;
  readonly #resource: Resource<T>;
  readonly #options: WatchOptions;
  /** Where the watch continues; undefined: it lists again. */
  #version: string | undefined;
  /** In a row. */
  #failures = 0;
  #isInterrupted = false;

  constructor(cluster: ClusterClient, resource: Resource<T>, options: WatchOptions) {
    this.#cluster = cluster;
    this.#resource = resource;
    this.#options = options;
  }

  async *events(): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      try {
        yield* this.#follow(this.#version ?? (yield* this.#list()));
      } catch (error) {
        if (signal.aborted) return;
        if (isSilence(error) && (await answers(this.#cluster, signal))) continue;
        const interrupted = this.#takeNote(error);
        if (interrupted) yield interrupted;
      }
      if (this.#failures > 0 && !(await this.#backOff())) return;
    }
  }

  /** Returns the version that the list is of. */
  async *#list(): AsyncGenerator<WatchEvent<T>, string, undefined> {
    const { items, resourceVersion } = await this.#cluster.list(this.#resource, { ...this.#options, retry: false });
    this.#version = resourceVersion;
    this.#isInterrupted = false;
    yield { type: 'synced', objects: items };
    return resourceVersion;
  }

  /** One watch, until the server ends it. */
  async *#follow(version: string): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const { clock } = this.#cluster;
    const startedAt = clock.now();
    let hasAnswered = false;
    const response = await openWatch(this.#cluster, this.#resource, { ...this.#options, version });
    if (this.#isInterrupted) yield { type: 'resumed' };
    this.#isInterrupted = false;
    for await (const { type, object } of rawEvents<T>(response)) {
      if (type === 'ERROR') throw watchFault(object);
      hasAnswered = true;
      this.#failures = 0;
      this.#version = (object.metadata as ObjectMeta | undefined)?.resourceVersion ?? this.#version;
      if (type === 'DELETED') yield { type: 'deleted', object };
      else if (type !== 'BOOKMARK') yield { type: 'changed', object };
    }
    // A server that ends every watch at once must not be asked in a circle.
    this.#failures = hasAnswered || clock.now() - startedAt > 1000 ? 0 : this.#failures + 1;
  }

  /** Decides how to continue: from the former position, after an interruption, or with a new list. */
  #takeNote(error: unknown): WatchEvent<T> | undefined {
    const { observer, name } = this.#cluster;
    this.#failures += 1;
    const expired = isExpired(error);
    observer.watchRestarted?.(name, this.#resource.plural, expired ? 'expired' : 'error');
    if (expired || error instanceof WatchFault) {
      this.#version = undefined;
      return undefined;
    }
    this.#isInterrupted = true;
    return { type: 'interrupted', error: interruption(error, this.#resource) };
  }

  /** False: the watch was ended meanwhile. */
  #backOff(): Promise<boolean> {
    const { clock, random } = this.#cluster;
    return clock.after(backoffMs(this.#failures, random), this.#options.signal).then(
      () => true,
      () => false,
    );
  }
}

/** An ERROR event other than "too old": the known state can no longer be relied on. */
class WatchFault extends Error {}

function watchFault(status: object): Error {
  const code = 'code' in status ? Number(status.code) : 0;
  const error = answerError({ asked: 'watch', status: code, body: JSON.stringify(status) });
  return code === 410 ? error : new WatchFault(error.message, { cause: error });
}

function interruption(error: unknown, resource: Resource): FarmError {
  return error instanceof FarmError ? error : wrapError(error, `Watching ${resource.plural}`, 'ClusterUnavailable');
}

/** One cheap request that shows whether the cluster answers. */
async function answers(cluster: ClusterClient, signal: AbortSignal): Promise<boolean> {
  try {
    await cluster.call({ method: 'GET', path: '/version' }, { signal, retry: false });
    return true;
  } catch {
    return false;
  }
}

/** The answer when its head is there: from then on the server watches. */
function openWatch(
  cluster: ClusterClient,
  resource: Resource,
  options: WatchOptions & { readonly version: string },
): Promise<IncomingMessage> {
  return cluster.stream({
    method: 'GET',
    path: cluster.path(resource, undefined, options),
    query: {
      ...selectors(options),
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: options.version,
      timeoutSeconds: options.timeoutSeconds ?? 240,
    },
    signal: options.signal,
    idleMs: options.idleMs ?? 100_000,
  });
}

async function* rawEvents<T>(response: IncomingMessage): AsyncGenerator<RawEvent<T>, void, undefined> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response) {
    const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as RawEvent<T>;
  }
}
