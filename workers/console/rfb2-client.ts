import { EventEmitter } from 'node:events';
import { createConnection } from 'rfb2';

/** What of rfb2 0.2.2 is used; its own declarations lack the stream, the keys and the reader's steps. */
export interface Rfb2Client extends EventEmitter {
  requestUpdate(incremental: number, x: number, y: number, width: number, height: number): void;
  keyEvent(keysym: number, down: number): void;
  /** The library's step that waits for the next message: called when a message has been read whole. */
  expectNewMessage(): void;
  /** The library's step that reads an update of the framebuffer. */
  readFbUpdate(): void;
}

/** The side of rfb2 that faces the network: bytes go in by `emit('data')` and come out by `write`. */
export class Rfb2Stream extends EventEmitter {
  readonly #send: (bytes: Buffer) => void;

  constructor(send: (bytes: Buffer) => void) {
    super();
    this.#send = send;
  }

  write(bytes: Buffer): void {
    this.#send(bytes);
  }

  end(): void {}
}

const SECURITY_NONE = 1;
/** raw, copyRect and the desktop size: the library hangs or crashes on every other one. */
const READABLE_ENCODINGS = [0, 1, -223];

/**
 * Starts an rfb2 client on the stream. Its faults come out of `stream.emit('data')` as exceptions. `onUpdate` is called
 * whenever an update of the framebuffer has been read whole, which the library itself does not tell.
 */
export function startRfb2(stream: Rfb2Stream, onUpdate: () => void): Rfb2Client {
  const options = { stream, security: [SECURITY_NONE], encodings: READABLE_ENCODINGS };
  const client = createConnection(options) as EventEmitter as Rfb2Client;
  const { expectNewMessage, readFbUpdate } = client;
  let reading = false;
  client.readFbUpdate = () => {
    reading = true;
    readFbUpdate.call(client);
  };
  client.expectNewMessage = () => {
    const finished = reading;
    reading = false;
    expectNewMessage.call(client);
    if (finished) onUpdate();
  };
  return client;
}
