import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type KubeObject, timestamp } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { shortHash } from '../host/layout.ts';

/** An event of an object. */
export interface EventText {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Writes Kubernetes Events; the same thing happening again raises the count of the first one. */
export class EventRecorder {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(store: Store, clock: Clock, logger: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Never fails: an Event that cannot be written, such as into a namespace that is ending, is only logged. */
  record(object: KubeObject, text: EventText): void {
    this.#write(object, text).catch((error: unknown) =>
      this.#logger.debug({ err: error, kind: object.kind, name: object.metadata.name }, 'An Event was not written'),
    );
  }

  async #write(object: KubeObject, { type, reason, message }: EventText): Promise<void> {
    const namespace = object.metadata.namespace ?? 'default';
    const uid = object.metadata.uid ?? '';
    const name = `${object.metadata.name.slice(0, 200)}.${shortHash(`${uid}/${type}/${reason}/${message}`, 16)}`;
    const now = timestamp(this.#clock.now());
    if (this.#store.get('Event', { namespace, name })) {
      await this.#store.mutate('Event', { namespace, name }, (event) => {
        event['count'] = Number(event['count'] ?? 1) + 1;
        event['lastTimestamp'] = now;
      });
      return;
    }
    await this.#store.create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name: object.metadata.name,
        ...(object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace }),
        uid,
      },
      type,
      reason,
      message: message.slice(0, 1024),
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: 'embedded' },
      reportingComponent: 'embedded',
      reportingInstance: '',
    });
  }
}
