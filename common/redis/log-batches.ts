import type { FarmEvent } from '../contracts/events.ts';
import type { PhaseClaim } from '../contracts/phase-store.ts';

type LogLine = Extract<FarmEvent, { event: 'log' }>;

type Source = Omit<LogLine, 'line'>;

/** Lines of one source, as they are stored. */
export type LogBatch = Source & { readonly lines: readonly string[] };

/** The bytes of lines that one entry holds, about. */
const MOST_BYTES = 64 * 1024;
/** Time to collect lines: a guest that prints line by line must not fill the streams with entries. */
const COLLECT_MS = 10;

interface Pending {
  readonly batch: Source;
  readonly lines: string[];
  bytes: number;
  readonly stored: Promise<void>;
  send(): void;
}

/** The lines of each claim, for as long as it lasts. */
export class ClaimLogs {
  readonly #store: (claim: PhaseClaim, batch: LogBatch) => Promise<void>;
  readonly #batches = new WeakMap<PhaseClaim, LogBatches>();

  constructor(store: (claim: PhaseClaim, batch: LogBatch) => Promise<void>) {
    this.#store = store;
  }

  of(claim: PhaseClaim): LogBatches {
    const known = this.#batches.get(claim);
    if (known) return known;
    const batches = new LogBatches((batch) => this.#store(claim, batch));
    this.#batches.set(claim, batches);
    return batches;
  }
}

/** Collects the lines that a phase emits within a short time, and stores them together. */
class LogBatches {
  readonly #store: (batch: LogBatch) => Promise<void>;
  #pending: Pending | undefined;

  constructor(store: (batch: LogBatch) => Promise<void>) {
    this.#store = store;
  }

  /** Resolves when the line is stored. */
  add({ line, ...batch }: LogLine): Promise<void> {
    const pending = this.#pending;
    const isFull = pending && (pending.bytes > MOST_BYTES || !isSameSource(pending.batch, batch));
    if (isFull) this.flush();
    const open = this.#pending ?? this.#begin(batch);
    open.lines.push(line);
    open.bytes += line.length;
    return open.stored;
  }

  /** Sends the collected lines, so that later events come after them. */
  flush(): void {
    this.#pending?.send();
    this.#pending = undefined;
  }

  #begin(batch: Source): Pending {
    const lines: string[] = [];
    let send = () => {};
    const stored = new Promise<void>((resolve) => {
      send = () => resolve(this.#store({ ...batch, lines }));
    });
    const pending = { batch, lines, bytes: 0, stored, send };
    this.#pending = pending;
    setTimeout(() => {
      if (this.#pending === pending) this.flush();
    }, COLLECT_MS);
    return pending;
  }
}

function isSameSource(a: Source, b: Source): boolean {
  return a.source === b.source && a.vm === b.vm && a.phase === b.phase && a.module === b.module;
}
