import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { OperationId } from '../../../common/contracts/api/operations.ts';
import { type AnswerOf, addressOf, type RequestOf } from '../../../common/contracts/api/request.ts';
import { call } from './client.ts';

/** The last value, and the error of the last read. */
export interface Fetched<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  reload(): void;
}

/** Asks for an operation that reads, again when the page comes to the front and every `everyMs` while it is there (0: never). */
export function useResource<Id extends OperationId>(
  id: Id,
  request: RequestOf<Id>,
  everyMs: number,
): Fetched<AnswerOf<Id>> {
  const path = addressOf(id, request);
  const [read, setRead] = useState<{ path: string; value: AnswerOf<Id> | undefined; error: Error | undefined }>();
  const current = useRef({ path, id, request });
  current.current = { path, id, request };
  const reload = useCallback(() => {
    const isCurrent = () => current.current.path === path;
    call(current.current.id, current.current.request).then(
      (value) => isCurrent() && setRead({ path, value, error: undefined }),
      (error: Error) => isCurrent() && setRead((former) => ({ path, value: former?.value, error })),
    );
  }, [path]);
  useEffect(() => {
    reload();
    const onFront = () => document.visibilityState === 'visible' && reload();
    const timer = everyMs > 0 ? setInterval(onFront, everyMs) : undefined;
    document.addEventListener('visibilitychange', onFront);
    window.addEventListener('focus', onFront);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', onFront);
      window.removeEventListener('focus', onFront);
    };
  }, [reload, everyMs]);
  const isCurrent = read?.path === path;
  return { value: isCurrent ? read.value : undefined, error: isCurrent ? read.error : undefined, reload };
}
