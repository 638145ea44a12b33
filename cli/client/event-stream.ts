import { createParser } from 'eventsource-parser';
import { systemClock } from '../../common/clock/clock.ts';
import { farmEventSchema, type StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Pauses between attempts to reach the farm again, the last one for every further attempt. */
const RECONNECT_MS = [100, 500, 2_000, 5_000] as const;
const MAX_ATTEMPTS = 30;

/**
 * Reads a build's stream of server-sent events (WHATWG HTML, section 9.2) until `build-finished`. A cut stream is opened
 * again after the last event that was read; the farm being away for a while is not an error.
 */
export async function* followEvents(open: (lastEventId: string) => Promise<Response>): AsyncGenerator<StoredEvent> {
  let lastEventId = '0';
  for (let failures = 0; ; failures += 1) {
    try {
      const response = await open(lastEventId);
      for await (const event of readEvents(response)) {
        failures = 0;
        lastEventId = event.id;
        yield event;
        if (event.event === 'build-finished') return;
      }
    } catch (error) {
      const away =
        error instanceof FarmError ? ['unavailable', 'exhausted'].includes(error.kind) : error instanceof TypeError;
      if (!away || failures >= MAX_ATTEMPTS) throw error;
    }
    await systemClock.after(RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)] ?? 0);
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
