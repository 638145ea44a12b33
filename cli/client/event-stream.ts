import { createParser } from 'eventsource-parser';
import type { Clock } from '../../common/clock/clock.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Pauses between attempts to reach the farm again, the last one for every further attempt. */
const RECONNECT_MS = [100, 500, 2_000, 5_000] as const;

/** Behaviour when the farm stops answering during a stream. */
export interface Patience {
  readonly clock: Clock;
  /** How long a farm may be away; after that its last error ends the stream. */
  readonly forMs: number;
  /** Called once when the farm is away, with why, and once when it is back. */
  readonly onAway: (error: FarmError) => void;
  readonly onBack: () => void;
}

/** Makes a message of the JSON of an event, and its id. */
export type StreamReader<T> = (data: unknown, id: string) => T;

/** A stream of the farm. */
export interface FollowedStream<T> {
  readonly read: StreamReader<T>;
  isLast(message: T): boolean;
  /** Opens it behind a message. */
  open(lastEventId: string): Promise<Response>;
}

/**
 * Reads a stream of server-sent events (WHATWG HTML, section 9.2) until its last message. A cut stream is opened again
 * after the last message that was read; a farm that is away for a while, restarted for example, is not an error.
 */
export async function* followStream<T extends { readonly id: string }>(
  { read, isLast, open }: FollowedStream<T>,
  { clock, forMs, onAway, onBack }: Patience,
): AsyncGenerator<T> {
  let lastEventId = '0';
  let awaySince: number | undefined;
  for (let failures = 0; ; failures += 1) {
    try {
      const response = await open(lastEventId);
      if (awaySince !== undefined) onBack();
      awaySince = undefined;
      for await (const message of readStream(read, response)) {
        failures = 0;
        lastEventId = message.id;
        yield message;
        if (isLast(message)) return;
      }
    } catch (error) {
      // The cause of an interrupted answer is found by asking again.
      if (!(error instanceof TypeError)) {
        if (!(error instanceof FarmError && ['unavailable', 'exhausted'].includes(error.kind))) throw error;
        if (awaySince === undefined) onAway(error);
        awaySince ??= clock.now();
        if (clock.now() - awaySince >= forMs) throw error;
      }
    }
    await clock.after(RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)] ?? 0);
  }
}

/** The messages of one answer, as they come. */
export async function* readStream<T extends { readonly id: string }>(
  read: StreamReader<T>,
  response: Response,
): AsyncGenerator<T> {
  const ready: T[] = [];
  const parser = createParser({ onEvent: ({ id, data }) => void ready.push(read(JSON.parse(data), id ?? '')) });
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* ready.splice(0);
  }
}
