import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { getJson } from './client.ts';

/** What was read last, and why it could not be read again. */
export interface Resource<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  reload(): void;
}

/** Reads a path of the API, again when the page comes to the front and every `everyMs` while it is there (0: never). */
export function useResource<T>(path: string, everyMs: number): Resource<T> {
  const [read, setRead] = useState<{ path: string; value: T | undefined; error: Error | undefined }>();
  const current = useRef(path);
  current.current = path;
  const reload = useCallback(() => {
    getJson<T>(path).then(
      (value) => current.current === path && setRead({ path, value, error: undefined }),
      (error: Error) => current.current === path && setRead((former) => ({ path, value: former?.value, error })),
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
