import type RFB from '@novnc/novnc';
import type { ViewerState } from '../state/watching.ts';

/** A viewer of a console, in an element of the page. */
export interface ConsoleViewer {
  /** Whether keys and the mouse go to the machine. */
  setTyping(isTyping: boolean): void;
  /** Gives the keyboard to the machine. */
  focus(): void;
  /** No browser lets a page have these keys. */
  sendCtrlAltDel(): void;
  close(): void;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Shows a console in `frame` until it is closed. `path`: of the WebSocket at this host. Cut connections are opened again,
 * with growing pauses. The viewer's code is loaded with the first console.
 */
export function connectViewer(
  frame: HTMLElement,
  path: string,
  onConnection: (connection: ViewerState) => void,
): ConsoleViewer {
  let rfb: RFB | undefined;
  let isTyping = false;
  let isClosed = false;
  let pauseMs = FIRST_PAUSE_MS;
  let reopening: ReturnType<typeof setTimeout> | undefined;
  const connect = (Viewer: typeof RFB) => {
    if (isClosed) return;
    const viewer = new Viewer(frame, socketUrl(path), { wsProtocols: ['binary'] });
    rfb = viewer;
    Object.assign(viewer, { viewOnly: !isTyping, scaleViewport: true, showDotCursor: true, background: 'transparent' });
    viewer.addEventListener('connect', () => {
      pauseMs = FIRST_PAUSE_MS;
      if (!isClosed) onConnection('open');
    });
    viewer.addEventListener('disconnect', () => {
      rfb = undefined;
      if (isClosed) return;
      onConnection('cut');
      reopening = setTimeout(connect, pauseMs, Viewer);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    });
  };
  onConnection('opening');
  import('@novnc/novnc')
    .then(({ default: Viewer }) => connect(Viewer))
    .catch(() => !isClosed && onConnection('unloaded'));
  return {
    setTyping: (isOn) => {
      if (isTyping && !isOn) liftKeys();
      isTyping = isOn;
      if (rfb) rfb.viewOnly = !isOn;
    },
    focus: () => rfb?.focus(),
    sendCtrlAltDel: () => rfb?.sendCtrlAltDel(),
    close: () => {
      isClosed = true;
      clearTimeout(reopening);
      rfb?.disconnect();
    },
  };
}

/** noVNC lifts the keys that it holds down when the window loses the focus; to leave the screen is the same. */
export function liftKeys(): void {
  window.dispatchEvent(new Event('blur'));
}

function socketUrl(path: string): string {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
