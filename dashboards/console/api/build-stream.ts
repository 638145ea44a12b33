import { addressOf } from '../../../common/contracts/api/request.ts';
import type { StoredEvent } from '../../../common/contracts/events.ts';
import { readEvent } from './client.ts';

/** So many milliseconds of events are handed over at once: drawing is dearer than reading. */
const BATCH_MS = 60;
const REOPEN_MS = 3_000;

/** Listener of a build. */
export interface StreamListener {
  onEvents(events: readonly StoredEvent[]): void;
  /** Whether events come at present. */
  onConnection(isOpen: boolean): void;
}

/**
 * The events of a build from its first one to its last, live. The browser takes a cut stream up where it was; a stream
 * that was refused is opened again from the start, so the listener must skip events that it has seen. Returns the function that ends it.
 */
export function openBuildStream(buildId: string, listener: StreamListener): () => void {
  let source: EventSource | undefined;
  let reopening: ReturnType<typeof setTimeout> | undefined;
  let flushing: ReturnType<typeof setTimeout> | undefined;
  let batch: StoredEvent[] = [];
  const flush = () => {
    flushing = undefined;
    const events = batch;
    batch = [];
    listener.onEvents(events);
  };
  const open = () => {
    source = new EventSource(addressOf('streamEvents', { params: { id: buildId } }));
    source.onopen = () => listener.onConnection(true);
    source.onmessage = ({ data, lastEventId }) => {
      const event: StoredEvent = { ...readEvent('streamEvents', data), id: lastEventId };
      batch.push(event);
      flushing ??= setTimeout(flush, BATCH_MS);
      if (event.event === 'build-finished') source?.close();
    };
    source.onerror = () => {
      listener.onConnection(false);
      if (source?.readyState === EventSource.CLOSED) reopening = setTimeout(open, REOPEN_MS);
    };
  };
  open();
  return () => {
    source?.close();
    clearTimeout(reopening);
    clearTimeout(flushing);
  };
}
