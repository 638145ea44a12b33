import type { Duplex } from 'node:stream';
import { ByteFeed } from './byte-protocol.ts';
import { type PixelFormat, pixelWriter, SCREEN_FORMAT, writePixelFormat } from './pixel-format.ts';
import { type Area, PIXEL_BYTES, type Screen } from './screen.ts';
import { VERSION, type ViewerListener, viewerProtocol } from './viewer-protocol.ts';

/** Keyboard and mouse input of a viewer. */
export type ViewerInput =
  | { readonly type: 'key'; readonly keysym: number; readonly down: boolean }
  | { readonly type: 'pointer'; readonly x: number; readonly y: number; readonly buttons: number };

export interface RfbViewerOptions {
  /** Raw RFB bytes; the viewer owns and destroys it. */
  readonly stream: Duplex;
  readonly screen: Screen;
  /** Title of the viewer's window. */
  readonly name: string;
  readonly onInput: (input: ViewerInput) => void;
  /** Called once, when the stream is over; with the cause when the viewer was cut off for what it sent. */
  readonly onEnd: (cause: Error | undefined) => void;
}

const RAW = 0;
const DESKTOP_SIZE = -223;

/**
 * Serves one viewer of a screen: the server's half of RFB 3.8, raw rectangles and the desktop's size. A picture is sent
 * when the viewer has asked for one, something has changed, and the last one has left: a slow viewer gets fewer pictures,
 * and costs the memory of one.
 */
export class RfbViewer implements ViewerListener {
  readonly #options: RfbViewerOptions;
  #write = pixelWriter(SCREEN_FORMAT);
  #bytesPerPixel: number = SCREEN_FORMAT.bytesPerPixel;
  #resizes = false;
  #size = { width: 0, height: 0 };
  /** Version of the screen that it has. */
  #seen = -1;
  #requested: 'nothing' | 'changes' | Area = 'nothing';
  #sending = false;
  #ended = false;

  constructor(options: RfbViewerOptions) {
    this.#options = options;
    const { stream, screen } = options;
    const stop = screen.listen(() => this.#serve());
    const feed = new ByteFeed(viewerProtocol(this));
    let cause: Error | undefined;
    stream.on('data', (bytes: Buffer) => {
      try {
        if (!this.#ended) feed.push(bytes);
      } catch (error) {
        cause = error instanceof Error ? error : new Error(String(error));
        this.close();
      }
    });
    const end = () => {
      if (!this.#ended) options.onEnd(cause);
      this.#ended = true;
      stop();
      stream.destroy();
    };
    for (const event of ['error', 'end', 'close']) stream.on(event, end);
    stream.write(VERSION);
  }

  close(): void {
    this.#options.stream.destroy();
  }

  onVersion(): void {
    this.#options.stream.write(Buffer.of(1, 1));
  }

  onSecurity(): void {
    this.#options.stream.write(Buffer.alloc(4));
  }

  onInit(): void {
    const { stream, screen, name } = this.#options;
    const title = Buffer.from(name);
    this.#size = { width: screen.width, height: screen.height };
    stream.write(
      Buffer.concat([
        numbers(screen.width, screen.height),
        writePixelFormat(SCREEN_FORMAT),
        longNumber(title.length),
        title,
      ]),
    );
  }

  onPixelFormat(format: PixelFormat): void {
    this.#write = pixelWriter(format);
    this.#bytesPerPixel = format.bytesPerPixel;
  }

  onEncodings(encodings: readonly number[]): void {
    this.#resizes = encodings.includes(DESKTOP_SIZE);
  }

  onRequest(area: Area, isIncremental: boolean): void {
    if (!isIncremental) this.#requested = area;
    else if (this.#requested === 'nothing') this.#requested = 'changes';
    this.#serve();
  }

  onKey(keysym: number, down: boolean): void {
    this.#options.onInput({ type: 'key', keysym, down });
  }

  onPointer(x: number, y: number, buttons: number): void {
    this.#options.onInput({ type: 'pointer', x, y, buttons });
  }

  #serve(): void {
    if (this.#requested === 'nothing' || this.#sending || this.#ended) return;
    const { screen } = this.#options;
    const isResized = screen.width !== this.#size.width || screen.height !== this.#size.height;
    if (isResized && this.#resizes) this.#sendSize();
    else this.#sendChanges(this.#requested);
  }

  #sendChanges(requested: 'changes' | Area): void {
    const { screen } = this.#options;
    const changed = screen.changedSince(this.#seen);
    const areas = (requested === 'changes' ? changed : [requested, ...changed]).flatMap((area) => this.#clip(area));
    this.#seen = screen.version;
    if (areas.length === 0 && requested === 'changes') return;
    // One large rectangle covers all changes.
    const whole = areas.filter(({ width, height }) => width === this.#size.width && height === this.#size.height);
    const sent = whole.length > 0 ? whole.slice(0, 1) : areas;
    this.#send([header(sent.length), ...sent.map((area) => this.#rectangle(area))]);
  }

  /** The picture follows when the viewer asks for it. */
  #sendSize(): void {
    const { width, height } = this.#options.screen;
    this.#size = { width, height };
    this.#seen = -1;
    this.#send([header(1), place({ x: 0, y: 0, width, height }, DESKTOP_SIZE)]);
  }

  #send(parts: readonly Buffer[]): void {
    this.#requested = 'nothing';
    this.#sending = true;
    this.#options.stream.write(Buffer.concat(parts), () => {
      this.#sending = false;
      this.#serve();
    });
  }

  /** The part that lies on the screen as it is and as the viewer knows it. */
  #clip({ x, y, width, height }: Area): Area[] {
    const { screen } = this.#options;
    const right = Math.min(x + width, screen.width, this.#size.width);
    const bottom = Math.min(y + height, screen.height, this.#size.height);
    return right > x && bottom > y ? [{ x, y, width: right - x, height: bottom - y }] : [];
  }

  #rectangle(area: Area): Buffer {
    const { pixels, width } = this.#options.screen;
    const rowBytes = area.width * this.#bytesPerPixel;
    const head = place(area, RAW);
    const bytes = Buffer.alloc(head.length + rowBytes * area.height);
    head.copy(bytes);
    for (let row = 0; row < area.height; row += 1) {
      const start = ((area.y + row) * width + area.x) * PIXEL_BYTES;
      const from = pixels.subarray(start, start + area.width * PIXEL_BYTES);
      this.#write(from, bytes.subarray(head.length + row * rowBytes));
    }
    return bytes;
  }
}

/** Of a framebuffer update (RFC 6143, 7.6.1). */
function header(rectangles: number): Buffer {
  return Buffer.concat([Buffer.alloc(2), numbers(rectangles)]);
}

function place({ x, y, width, height }: Area, encoding: number): Buffer {
  return Buffer.concat([numbers(x, y, width, height), longNumber(encoding)]);
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
  return bytes;
}

function longNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
