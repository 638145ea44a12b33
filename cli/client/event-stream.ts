import { createParser } from 'eventsource-parser';
import type { Clock } from '../../common/clock/clock.ts';
import { farmEventSchema, type StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Pauses between attempts to reach the farm again, the last one for every further attempt. */
const RECONNECT_MS = [100, 500, 2_000, 5_000] as const;

/** What happens when the farm stops answering in the middle of a stream. */
export interface Patience {
  readonly clock: Clock;
  /** How long a farm may be away; after that its last error ends the stream. */
  readonly forMs: number;
  /** Called once when the farm is away, with why, and once when it is back. */
  readonly onAway: (error: FarmError) => void;
  readonly onBack: () => void;
}

/**
 * Reads a build's stream of server-sent events (WHATWG HTML, section 9.2) until `build-finished`. A cut stream is opened
 * again after the last event that was read; a farm that is away for a while, restarted for example, is not an error.
 */
export async function* followEvents(
  open: (lastEventId: string) => Promise<Response>,
  { clock, forMs, onAway, onBack }: Patience,
): AsyncGenerator<StoredEvent> {
  let lastEventId = '0';
  let awaySince: number | undefined;
  for (let failures = 0; ; failures += 1) {
    try {
      const response = await open(lastEventId);
      if (awaySince !== undefined) onBack();
      awaySince = undefined;
      for await (const event of readEvents(response)) {
        failures = 0;
        lastEventId = event.id;
        yield event;
        if (event.event === 'build-finished') return;
      }
    } catch (error) {
      // What breaks in the middle of an answer is found out by asking again.
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

/** The events of one answer, as they come. */
export async function* readEvents(response: Response): AsyncGenerator<StoredEvent> {
  const ready: StoredEvent[] = [];
  const parser = createParser({
    onEvent: ({ id, data }) => {
      const { time, ...event } = JSON.parse(data);
      ready.push({ ...farmEventSchema.parse(event), time: String(time), id: id ?? '' });
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* ready.splice(0);
  }
}
