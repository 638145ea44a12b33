import type { Logger } from '../../common/logging/logger.ts';
import { ApiError } from './api-error.ts';
import { keyOf, type ObjectKey } from './objects.ts';
import type { Store } from './store.ts';

/** Default number of Events that are kept. */
const DEFAULT_LIMIT = 1000;

/**
 * Deletes the oldest Events beyond a number, so that a cluster that runs for long does not grow by talking. (A real
 * one forgets them after an hour.)
 */
export function limitEvents(store: Store, logger: Logger, options: { signal: AbortSignal; limit?: number }): void {
  const limit = options.limit ?? DEFAULT_LIMIT;
  const kept = new Map<string, ObjectKey>();
  store.subscribe(
    ['Event'],
    ({ type, object }) => {
      const { uid = '' } = object.metadata;
      kept.delete(uid);
      if (type === 'DELETED') return;
      kept.set(uid, keyOf(object));
      const [oldest] = kept;
      if (kept.size <= limit || !oldest) return;
      kept.delete(oldest[0]);
      store.delete('Event', oldest[1]).catch((error: unknown) => {
        const isGone = error instanceof ApiError && error.code === 404;
        if (!isGone) logger.error({ err: error }, 'An old event could not be deleted');
      });
    },
    options.signal,
  );
}
