import { EventEmitter } from 'node:events';
import { createConnection } from 'rfb2';
import { PIXEL_BYTES, type Screen } from './screen.ts';

/** The used part of rfb2 0.2.2; its own declarations lack the stream, the keys and the reader's steps. */
export interface Rfb2Client extends EventEmitter {
  width: number;
  height: number;
  requestUpdate(incremental: number, x: number, y: number, width: number, height: number): void;
  keyEvent(keysym: number, down: number): void;
  pointerEvent(x: number, y: number, buttons: number): void;
  /** The library's step that waits for the next message. */
  expectNewMessage(): void;
  /** The library's step that reads an update of the framebuffer. */
  readFbUpdate(): void;
  /** The library's step that asks for the pixel format in its own fields. */
  setPixelFormat(): void;
  pack_stream: {
    get(length: number, done: (bytes: Buffer) => void): void;
    unpack(format: string, done: (values: number[]) => void): void;
  };
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
const RAW = 0;
const COPY_RECT = 1;
const DESKTOP_SIZE = -223;
/** QEMU acknowledges at once whenever it reads that a client supports extended keys: see `askAcknowledgement`. */
const EXTENDED_KEYS = -258;
const ENCODINGS = [RAW, COPY_RECT, DESKTOP_SIZE, EXTENDED_KEYS];
/** `PixelFormat` of a `Screen`, in the library's words. */
const SCREEN_FORMAT = {
  ...{ bpp: 32, depth: 24, isBigEndian: 0, isTrueColor: 1, redMax: 255, greenMax: 255, blueMax: 255 },
  ...{ redShift: 16, greenShift: 8, blueShift: 0 },
};

/** Events that the client receives. */
export interface Rfb2Listener {
  /** An update of the framebuffer was read whole and drawn. */
  onPicture(isResized: boolean): void;
  /** The server has read an `askAcknowledgement`; one comes by itself, for the first list of encodings. */
  onAcknowledged(): void;
}

/**
 * Starts an rfb2 client on the stream that draws on `screen`. Its faults come out of `stream.emit('data')` as exceptions.
 * Updates of the framebuffer are read here, with the library's reader: its own way hangs on encodings that it does not
 * know, and copies large rectangles byte by byte.
 */
export function startRfb2(stream: Rfb2Stream, screen: Screen, listener: Rfb2Listener): Rfb2Client {
  const options = { stream, security: [SECURITY_NONE], encodings: ENCODINGS };
  const client = createConnection(options) as EventEmitter as Rfb2Client;
  const { setPixelFormat } = client;
  client.setPixelFormat = () => {
    Object.assign(client, SCREEN_FORMAT);
    screen.resize(client.width, client.height);
    setPixelFormat.call(client);
  };
  client.readFbUpdate = () => readUpdate(client, screen, listener);
  return client;
}

/**
 * Asks the server to acknowledge that it has read everything up to here, without a picture: QEMU answers a list of encodings
 * with extended keys at once, and in order.
 */
export function askAcknowledgement(stream: Rfb2Stream): void {
  const message = Buffer.alloc(4 + 4 * ENCODINGS.length);
  message.writeUInt8(2);
  message.writeUInt16BE(ENCODINGS.length, 2);
  for (const [index, encoding] of ENCODINGS.entries()) message.writeInt32BE(encoding, 4 + 4 * index);
  stream.write(message);
}

function readUpdate(client: Rfb2Client, screen: Screen, listener: Rfb2Listener): void {
  let [drawn, resized] = [false, false];
  const readRectangles = (left: number): void => {
    if (left === 0) {
      client.expectNewMessage();
      if (drawn) listener.onPicture(resized);
      return;
    }
    const next = () => readRectangles(left - 1);
    client.pack_stream.unpack('SSSSl', ([x = 0, y = 0, width = 0, height = 0, encoding]) => {
      drawn ||= encoding !== EXTENDED_KEYS;
      if (encoding === RAW) readRows(client, screen, { x, y, width, left: height, next });
      else if (encoding === COPY_RECT) {
        client.pack_stream.unpack('SS', ([fromX = 0, fromY = 0]) => {
          screen.copy({ x: fromX, y: fromY }, { x, y, width, height });
          next();
        });
      } else if (encoding === DESKTOP_SIZE) {
        [client.width, client.height] = [width, height];
        screen.resize(width, height);
        resized = true;
        next();
      } else if (encoding === EXTENDED_KEYS) {
        listener.onAcknowledged();
        next();
      } else throw new RangeError(`The server sent a rectangle of the unknown encoding ${encoding}.`);
    });
  };
  client.pack_stream.unpack('xS', ([count = 0]) => readRectangles(count));
}

interface Rows {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly left: number;
  readonly next: () => void;
}

/** Row by row: the library is slow with data that arrives in several pieces. */
function readRows(client: Rfb2Client, screen: Screen, rows: Rows): void {
  const { x, y, width, left, next } = rows;
  if (left === 0 || width === 0) {
    next();
    return;
  }
  client.pack_stream.get(width * PIXEL_BYTES, (row) => {
    screen.drawRow(x, y, row);
    readRows(client, screen, { ...rows, y: y + 1, left: left - 1 });
  });
}
