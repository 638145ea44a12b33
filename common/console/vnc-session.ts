/**
 * One open console of a guest. Any RFB server may be behind it; keys are X11 keysyms, and a shifted character needs
 * its own Shift events.
 */
export interface VncSession {
  /** Sends one key event at once. Throws `ConnectionLost` when the session is over. */
  key(keysym: number, down: boolean): void;
  /** Moves the pointer; `buttons` is a mask, 1 being the left one. Throws as `key`. */
  pointer(x: number, y: number, buttons: number): void;
  /**
   * Resolves when the server has read everything that was sent before; this also keeps proxies from cutting an idle
   * connection. A server that does not answer in time is lost.
   */
  barrier(): Promise<void>;
  /** Whether changes of the picture are asked for; off at first. They are drawn on the screen given at the opening. */
  follow(isOn: boolean): void;
  /** Bytes that were sent and have not left yet. */
  readonly backlog: number;
  /** Aborted, with `ConnectionLost` as its reason, when the connection is over, by `close` too. */
  readonly lost: AbortSignal;
  close(): void;
}
