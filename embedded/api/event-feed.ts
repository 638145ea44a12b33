import { allowManyListeners } from '../../common/lifecycle/many-listeners.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { deepFreeze } from './frozen.ts';
import type { KubeObject } from './objects.ts';

/** One change. DELETED carries the object's last state with the resourceVersion of its removal. */
export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly kind: string;
  readonly object: KubeObject;
  /** The state before; absent for ADDED. */
  readonly previous: KubeObject | undefined;
  readonly resourceVersion: number;
}

/** Called synchronously for each change; must not block. */
export type StoreListener = (event: StoreEvent) => void;

interface Subscription {
  readonly kinds: ReadonlySet<string>;
  readonly listener: StoreListener;
  readonly signal: AbortSignal;
  /** Events up to here have been delivered, or were part of the initial state of the subscription. */
  deliveredUpTo: number;
}

/** Filter and end of a subscription. */
export interface SubscribeOptions {
  readonly kinds: readonly string[];
  readonly listener: StoreListener;
  readonly signal: AbortSignal;
  /** Delivered before anything else. */
  readonly first: readonly StoreEvent[];
  /** Events at lower positions are not delivered. @defaultValue the newest */
  readonly after?: number;
}

/**
 * Delivers changes to subscribers in order, and keeps the latest ones for subscribers that resume. A listener that
 * causes a change does not make others see it before the change that it reacted to: deliveries wait in one queue.
 */
export class EventFeed {
  readonly #windowSize: number;
  readonly #logger: Logger;
  readonly #subscriptions = new Set<Subscription>();
  readonly #queue: StoreEvent[] = [];
  #isDelivering = false;
  #window: StoreEvent[] = [];
  #oldest = 0;
  #newest = 0;

  constructor(windowSize: number, logger: Logger) {
    this.#windowSize = windowSize;
    this.#logger = logger;
  }

  /** The lowest resourceVersion that a watch may start from. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Forgets everything before a resourceVersion. */
  startAt(resourceVersion: number): void {
    this.#window = [];
    this.#oldest = resourceVersion;
    this.#newest = resourceVersion;
  }

  /** Keeps an event of an earlier process, for subscribers that resume. */
  remember(event: StoreEvent): void {
    this.#newest = event.resourceVersion;
    this.#window.push(event);
    this.#trim();
  }

  /** The remembered events of some kinds after a resourceVersion. */
  since(resourceVersion: number, kinds: readonly string[]): StoreEvent[] {
    return this.#window.filter((event) => event.resourceVersion > resourceVersion && kinds.includes(event.kind));
  }

  publish(event: StoreEvent): void {
    this.#newest = event.resourceVersion;
    this.#window.push(event);
    this.#trim();
    this.#queue.push(event);
    this.#deliver();
  }

  /** Delivers `first` and then everything that is published from now on. */
  subscribe({ kinds, listener, signal, first, after = 0 }: SubscribeOptions): void {
    if (signal.aborted) return;
    const deliveredUpTo = Math.max(this.#newest, after);
    const subscription: Subscription = { kinds: new Set(kinds), listener, signal, deliveredUpTo };
    this.#subscriptions.add(subscription);
    // One signal may end as many subscriptions as its owner likes; that is not a leak.
    allowManyListeners(signal);
    signal.addEventListener('abort', () => this.#subscriptions.delete(subscription), { once: true });
    const isNested = this.#isDelivering;
    this.#isDelivering = true;
    for (const event of first) this.#call(subscription, event);
    this.#isDelivering = isNested;
    this.#deliver();
  }

  #trim(): void {
    if (this.#window.length <= 2 * this.#windowSize) return;
    this.#window = this.#window.slice(-this.#windowSize);
    this.#oldest = (this.#window[0]?.resourceVersion ?? 1) - 1;
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
      for (const subscription of [...this.#subscriptions]) {
        const isNew = event.resourceVersion > subscription.deliveredUpTo;
        if (isNew && subscription.kinds.has(event.kind)) this.#call(subscription, event);
      }
    }
    this.#isDelivering = false;
  }

  #call(subscription: Subscription, event: StoreEvent): void {
    if (subscription.signal.aborted) return;
    try {
      subscription.listener(event);
    } catch (error) {
      this.#logger.error({ err: error, kind: event.kind, type: event.type }, 'A listener of the store failed');
    }
  }
}

/** The event of a change in the journal; undefined when an absent object was removed. */
export function restoredEvent(
  kind: string,
  change: Pick<StoreEvent, 'resourceVersion' | 'previous'> & { readonly object: KubeObject | undefined },
): StoreEvent | undefined {
  const { resourceVersion, object, previous } = change;
  if (object) return { type: previous ? 'MODIFIED' : 'ADDED', kind, object, previous, resourceVersion };
  if (!previous) return undefined;
  const metadata = { ...previous.metadata, resourceVersion: String(resourceVersion) };
  return { type: 'DELETED', kind, object: deepFreeze({ ...previous, metadata }), previous, resourceVersion };
}

/** The event by which a watch is shown an object that is there. */
export function addedEvent(object: KubeObject): StoreEvent {
  const resourceVersion = Number(object.metadata.resourceVersion);
  return { type: 'ADDED', kind: object.kind, object, previous: undefined, resourceVersion };
}
