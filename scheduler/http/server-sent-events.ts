import type { Response } from 'express';
import type { Redis } from 'ioredis';
import type { Admit } from './limits.ts';

/** Dependencies of streams. */
export interface StreamOptions {
  readonly redis: Redis;
  /** A connection of one's own for blocking reads; the caller closes it. */
  openListener(): Promise<Redis>;
  /** Counts an answer that lasts until it is closed. @throws TooManyRequests */
  readonly admit: Admit;
}

/** One event: `id` for resuming, and its data, as JSON. */
export interface ServerSentEvent {
  readonly id: string;
  readonly data: unknown;
}

/** Source of events; null: no event for a while. */
export interface EventSource {
  /** The existing events, on any connection. */
  past(redis: Redis): AsyncIterable<ServerSentEvent>;
  /** Live, on a connection of its own. */
  live(listener: Redis, signal: AbortSignal): AsyncIterable<ServerSentEvent | null>;
}

/**
 * Answers with server-sent events (WHATWG HTML, section 9.2) whose `id` is that of the stream, so that a client continues
 * where it was cut by `Last-Event-ID`.
 */
export async function sendEvents(
  response: Response,
  { redis, openListener, admit }: StreamOptions,
  { source, follow }: { readonly source: EventSource; readonly follow: boolean },
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  if (follow) admit(response, response.req);
  const listener = follow ? await openListener() : undefined;
  // Ends the blocking read too: it fails when its connection is cut.
  const leave = () => listener?.disconnect();
  response.on('close', leave);
  if (gone.signal.aborted || response.destroyed) return leave();
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  try {
    for await (const event of listener ? source.live(listener, gone.signal) : source.past(redis)) {
      // A comment distinguishes an idle connection from a dead one.
      const flowing = response.write(event ? `id: ${event.id}\ndata: ${JSON.stringify(event.data)}\n\n` : ':\n\n');
      if (!flowing) await drained(response, gone.signal);
      if (gone.signal.aborted) return;
    }
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  } finally {
    leave();
    response.end();
  }
}

/** A client that reads slowly slows its own stream, not the memory of the farm. */
async function drained(response: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    response.once('drain', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
