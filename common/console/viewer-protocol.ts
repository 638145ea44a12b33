import type { ByteProtocol } from './byte-protocol.ts';
import { FORMAT_BYTES, type PixelFormat, readPixelFormat } from './pixel-format.ts';
import type { Area } from './screen.ts';

/** RFB 3.8, the only version that is spoken. */
export const VERSION = 'RFB 003.008\n';
const SECURITY_NONE = 1;
const MOST_ENCODINGS = 1_024;
const MOST_CUT_TEXT = 2 ** 20;
/** A skipped text is read in pieces of this size. */
const PIECE = 4_096;

/** Receives the messages of a viewer. */
export interface ViewerListener {
  /** Its version is ours. */
  onVersion(): void;
  /** It takes the only security type that there is. */
  onSecurity(): void;
  /** It wants to begin. */
  onInit(): void;
  onPixelFormat(format: PixelFormat): void;
  onEncodings(encodings: readonly number[]): void;
  onRequest(area: Area, isIncremental: boolean): void;
  onKey(keysym: number, down: boolean): void;
  onPointer(x: number, y: number, buttons: number): void;
}

/**
 * The viewer's half of RFB 3.8 with security type None (RFC 6143, 7.1 to 7.5). Any other message, or too much of one, is a
 * RangeError that ends it; clipboards are read over.
 */
export function* viewerProtocol(listener: ViewerListener): ByteProtocol {
  const version = yield VERSION.length;
  if (version.toString('latin1') !== VERSION) throw new RangeError('The viewer does not speak RFB 3.8.');
  listener.onVersion();
  const security = yield 1;
  if (security[0] !== SECURITY_NONE) throw new RangeError('The viewer asks for a security type that was not offered.');
  listener.onSecurity();
  yield 1;
  listener.onInit();
  for (;;) yield* message(listener);
}

function* message(listener: ViewerListener): ByteProtocol {
  const type = (yield 1)[0] ?? 0;
  switch (type) {
    case 0:
      return listener.onPixelFormat(readPixelFormat((yield 3 + FORMAT_BYTES).subarray(3)));
    case 2:
      return yield* encodings(listener);
    case 3: {
      const body = yield 9;
      const [x, y, width, height] = [1, 3, 5, 7].map((at) => body.readUInt16BE(at)) as [number, number, number, number];
      return listener.onRequest({ x, y, width, height }, body[0] !== 0);
    }
    case 4: {
      const body = yield 7;
      return listener.onKey(body.readUInt32BE(3), body[0] !== 0);
    }
    case 5: {
      const body = yield 5;
      return listener.onPointer(body.readUInt16BE(1), body.readUInt16BE(3), body[0] ?? 0);
    }
    case 6:
      return yield* skipText();
    default:
      throw new RangeError(`The viewer sent a message of the unknown type ${type}.`);
  }
}

function* encodings(listener: ViewerListener): ByteProtocol {
  const count = (yield 3).readUInt16BE(1);
  if (count > MOST_ENCODINGS)
    throw new RangeError(`The viewer names ${count} encodings; the limit is ${MOST_ENCODINGS}.`);
  const list = yield 4 * count;
  listener.onEncodings(Array.from({ length: count }, (_, index) => list.readInt32BE(4 * index)));
}

function* skipText(): ByteProtocol {
  const length = (yield 7).readUInt32BE(3);
  if (length > MOST_CUT_TEXT)
    throw new RangeError(`The viewer sent a text of ${length} bytes; the limit is ${MOST_CUT_TEXT}.`);
  for (let left = length; left > 0; left -= PIECE) yield Math.min(left, PIECE);
}
