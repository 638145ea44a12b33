import { useEffect, useRef, useState } from 'preact/hooks';
import type { ViewerState } from '../state/watching.ts';
import { type ConsoleViewer, connectViewer } from './console-viewer.ts';

interface ConsoleOptions {
  /** Of the WebSocket. */
  readonly path: string;
  /** Whether there is, or will be, a machine to look at. */
  readonly isShown: boolean;
  /** Whether keys and the mouse go to the machine. */
  readonly isTyping: boolean;
}

/** Shows a console in an element, and the state of its connection. */
export function useConsole(frame: { readonly current: HTMLElement | null }, options: ConsoleOptions) {
  const { path, isShown, isTyping } = options;
  const viewer = useRef<ConsoleViewer | undefined>(undefined);
  const [connection, setConnection] = useState<ViewerState>('opening');
  useEffect(() => {
    if (!frame.current || !isShown) return;
    const opened = connectViewer(frame.current, path, setConnection);
    viewer.current = opened;
    return () => {
      viewer.current = undefined;
      opened.close();
    };
  }, [frame, path, isShown]);
  useEffect(() => viewer.current?.setTyping(isTyping), [isTyping, path, isShown]);
  return { connection, viewer };
}
