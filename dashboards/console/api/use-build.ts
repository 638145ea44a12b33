import { useCallback, useEffect, useReducer, useState } from 'preact/hooks';
import { readWholeBuild } from '../../../common/contracts/api/whole-build.ts';
import type { BuildView } from '../../../common/contracts/builds.ts';
import type { StoredEvent } from '../../../common/contracts/events.ts';
import { applyEvents, type BuildModel, openBuild, refreshView } from '../state/build-model.ts';
import { openBuildStream } from './build-stream.ts';
import { call } from './client.ts';

/** Delay after an event before reading fields that events do not contain (generations, modules that wait for room). */
const REFRESH_MS = 400;
const RETRY_MS = 3_000;

type Action = { readonly view: BuildView } | { readonly events: readonly StoredEvent[] } | 'stale' | 'left';

/** A build as it is now. */
export interface LiveBuild {
  readonly model: BuildModel | undefined;
  readonly error: Error | undefined;
  /** False while no events come though there may be some. */
  readonly isConnected: boolean;
  /** Reads the build again, after a change without an event. */
  refresh(): void;
}

export function useBuild(buildId: string): LiveBuild {
  const [model, dispatch] = useReducer(reduce, undefined);
  const [error, setError] = useState<Error>();
  const [isConnected, setConnected] = useState(true);
  useEffect(() => {
    let hasLeft = false;
    let stop = () => {};
    readBuild(buildId).then(
      (view) => {
        if (hasLeft) return;
        dispatch({ view });
        stop = openBuildStream(buildId, { onEvents: (events) => dispatch({ events }), onConnection: setConnected });
      },
      (cause: Error) => !hasLeft && setError(cause),
    );
    return () => {
      hasLeft = true;
      stop();
      dispatch('left');
      setError(undefined);
    };
  }, [buildId]);
  useRefresh(buildId, model?.isStale ?? false, (view) => dispatch({ view }));
  const refresh = useCallback(() => dispatch('stale'), []);
  return { model, error, isConnected, refresh };
}

/** Reads the view again while it is stale, one reading at a time. */
function useRefresh(buildId: string, isStale: boolean, onView: (view: BuildView) => void): void {
  const [readings, setReadings] = useState(0);
  useEffect(() => {
    if (!isStale) return;
    let hasLeft = false;
    const next = () => !hasLeft && setReadings((count) => count + 1);
    let timer = setTimeout(() => {
      readBuild(buildId).then(
        (view) => {
          if (!hasLeft) onView(view);
          next();
        },
        () => {
          timer = setTimeout(next, RETRY_MS);
        },
      );
    }, REFRESH_MS);
    return () => {
      hasLeft = true;
      clearTimeout(timer);
    };
  }, [buildId, isStale, readings]);
}

function readBuild(id: string): Promise<BuildView> {
  return readWholeBuild((query) => call('readBuild', { params: { id }, query }));
}

function reduce(model: BuildModel | undefined, action: Action): BuildModel | undefined {
  if (action === 'left') return undefined;
  if (action === 'stale') return model && { ...model, isStale: true };
  if ('view' in action) return model ? refreshView(model, action.view) : openBuild(action.view);
  return model && applyEvents(model, action.events);
}
