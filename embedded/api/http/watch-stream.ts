import type { Clock } from '../../../common/clock/clock.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import { ApiError, badRequest } from '../api-error.ts';
import { apiVersionOf, type KubeObject, type ResourceKind } from '../objects.ts';
import type { ObjectFilter } from '../selectors.ts';
import type { Store, StoreEvent } from '../store.ts';
import type { Exchange } from './exchange.ts';
import { filterOf, isTrue, numberParameter } from './list-query.ts';
import type { ResourcePath } from './resource-path.ts';
import { tableOf, wantsTable } from './table.ts';

const BOOKMARK_INTERVAL_MS = 60_000;
/** Time before the end of a watch at which its client gets the last bookmark. */
const LAST_BOOKMARK_MS = 2000;
/** How long a watch without `timeoutSeconds` lasts; apiserver takes a random 30 to 60 minutes. */
const DEFAULT_TIMEOUT_SECONDS = 2700;
/** A client with more unread bytes is disconnected; it resumes from its position. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** Selection and start of a watch. */
export interface WatchSource {
  readonly store: Store;
  readonly clock: Clock;
  readonly kind: ResourceKind;
  readonly path: ResourcePath;
}

/**
 * Streams changes as one JSON document per line until `timeoutSeconds` have passed, the client leaves or the server
 * stops. Resolves when the stream has ended.
 * A position that is too old gets an ERROR event, one of the future is waited for.
 */
export async function streamWatch(exchange: Exchange, source: WatchSource): Promise<void> {
  const { url, signal } = exchange;
  const { store, clock, kind, path } = source;
  const stream = new WatchStream(exchange, source, filterOf(url.searchParams, kind, path));
  const position = url.searchParams.get('resourceVersion') ?? '';
  const timeoutMs = (numberParameter(url.searchParams, 'timeoutSeconds') ?? DEFAULT_TIMEOUT_SECONDS) * 1000;
  const ending = new AbortController();
  const ended = anySignal(signal, ending.signal);
  try {
    const listener = (event: StoreEvent) => stream.send(event);
    if (position === '' || position === '0') {
      stream.begin();
      store.subscribe([kind.kind], listener, ended);
      if (isTrue(url.searchParams.get('sendInitialEvents'))) stream.bookmark({ 'k8s.io/initial-events-end': 'true' });
    } else store.watchFrom([kind.kind], positionOf(position), { listener, signal: ended });
    stream.begin();
    if (isTrue(url.searchParams.get('allowWatchBookmarks')))
      await streamBookmarks(stream, timeoutMs, { clock, signal });
    else await clock.after(timeoutMs, signal);
  } catch (error) {
    // The response has begun, so an expired position is reported in the stream.
    if (error instanceof ApiError && error.code === 410) stream.error(error);
    else if (!signal.aborted) throw error;
  } finally {
    ending.abort();
  }
  await stream.end();
}

function positionOf(text: string): number {
  if (!/^\d+$/.test(text)) throw badRequest(`Invalid value: "${text}": the resourceVersion must be a number`);
  return Number(text);
}

async function streamBookmarks(
  stream: WatchStream,
  timeoutMs: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  const end = clock.now() + timeoutMs;
  for (let left = timeoutMs; left > LAST_BOOKMARK_MS; left = end - clock.now()) {
    await clock.after(Math.min(left - LAST_BOOKMARK_MS, BOOKMARK_INTERVAL_MS), signal);
    stream.bookmarkIfMoved();
  }
  await clock.after(Math.max(end - clock.now(), 0), signal);
}

/** Writes watch events of one client, each when it is on disk: as with etcd, no crash takes back what a client has seen. */
class WatchStream {
  readonly #exchange: Exchange;
  readonly #source: WatchSource;
  readonly #matches: ObjectFilter;
  readonly #asTable: boolean;
  #isFirst = true;
  /** The highest position that the client knows of. */
  #reported: number;
  #sent: Promise<void> = Promise.resolve();

  constructor(exchange: Exchange, source: WatchSource, matches: ObjectFilter) {
    this.#reported = Number(exchange.url.searchParams.get('resourceVersion')) || 0;
    this.#exchange = exchange;
    this.#source = source;
    this.#matches = matches;
    this.#asTable = wantsTable(exchange.request.headers.accept);
  }

  /** Sends the head, so that the client knows that it is watching. */
  begin(): void {
    const { response } = this.#exchange;
    if (response.headersSent) return;
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
    response.flushHeaders();
  }

  /** Sends a change as this client sees it: an object that stops matching is DELETED to it. */
  send({ type, object, previous, resourceVersion }: StoreEvent): void {
    const isIn = type !== 'DELETED' && this.#matches(object);
    const wasIn = previous !== undefined && this.#matches(previous);
    if (isIn || wasIn) this.#reported = Math.max(this.#reported, resourceVersion);
    if (isIn) this.#write(wasIn ? 'MODIFIED' : 'ADDED', object);
    else if (wasIn) this.#write('DELETED', object);
  }

  /** Sends a bookmark of the client's position, unless it knows it. */
  bookmarkIfMoved(): void {
    if (this.#source.store.resourceVersion > this.#reported) this.bookmark();
  }

  /** Sends a bookmark of the client's position. */
  bookmark(annotations?: Readonly<Record<string, string>>): void {
    const { kind, store } = this.#source;
    this.#reported = store.resourceVersion;
    const metadata = {
      resourceVersion: String(this.#reported),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    this.#line('BOOKMARK', { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata });
  }

  /** Sends the reason of the stream's end. */
  error(error: ApiError): void {
    this.#line('ERROR', error.toStatus());
  }

  #write(type: string, object: KubeObject): void {
    this.#line(type, this.#asTable ? this.#row(object) : object);
  }

  /** Only the first table of a watch names the columns. */
  #row(object: KubeObject): unknown {
    const { kind, clock } = this.#source;
    const includeObject = this.#exchange.url.searchParams.get('includeObject') ?? 'Metadata';
    const { resourceVersion } = object.metadata;
    const table = tableOf([object], { resourceVersion }, { kind, now: clock.now(), includeObject });
    const { columnDefinitions, ...rest } = table;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    return isFirst ? { columnDefinitions, ...rest } : { columnDefinitions: null, ...rest };
  }

  /** Ends the stream after what is still to be sent. */
  async end(): Promise<void> {
    await this.#sent;
    this.#exchange.response.end();
  }

  #line(type: string, object: unknown): void {
    const { response } = this.#exchange;
    this.begin();
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#sent = Promise.all([this.#source.store.onDisk(), this.#sent]).then(
      () => {
        response.write(line);
        if (response.writableLength > MAX_BUFFERED_BYTES) response.destroy();
      },
      () => void response.destroy(),
    );
  }
}
