/** A rectangle of pixels. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Changes are remembered by tiles: wide and flat as lines of text are. */
const TILE_WIDTH = 64;
const TILE_HEIGHT = 16;
export const PIXEL_BYTES = 4;
/** 8192 x 4096, in pixels. A server that claims more is not believed. */
const MOST_PIXELS = 2 ** 25;

/**
 * The picture on a console, drawn by one source and read by any number of viewers at paces of their own: a viewer
 * remembers which version it has seen, and requests the changes since. Intermediate versions are skipped.
 */
export class Screen {
  /** Bumped by every change. */
  version = 0;
  /** Rows from the top, four bytes a pixel: blue, green, red, unused. */
  pixels: Buffer;
  #width: number;
  #height: number;
  /** Version of the last change of each tile. */
  #tiles: Float64Array;
  readonly #listeners = new Set<() => void>();

  /** A dark screen. */
  constructor(width: number, height: number) {
    [this.#width, this.#height] = [width, height];
    this.pixels = Buffer.alloc(width * height * PIXEL_BYTES);
    this.#tiles = new Float64Array(this.#columns * this.#rows);
  }

  get width(): number {
    return this.#width;
  }

  get height(): number {
    return this.#height;
  }

  /** Makes it dark, in another size. @throws RangeError when that is too large */
  resize(width: number, height: number): void {
    if (width < 1 || height < 1 || width * height > MOST_PIXELS)
      throw new RangeError(`A screen of ${width} x ${height} pixels is not shown: the limit is ${MOST_PIXELS} pixels.`);
    [this.#width, this.#height] = [width, height];
    this.pixels = Buffer.alloc(width * height * PIXEL_BYTES);
    this.version += 1;
    this.#tiles = new Float64Array(this.#columns * this.#rows).fill(this.version);
  }

  /** Draws one row of pixels. @throws RangeError when it lies outside */
  drawRow(x: number, y: number, row: Buffer): void {
    const width = row.length / PIXEL_BYTES;
    this.#assertInside({ x, y, width, height: 1 });
    row.copy(this.pixels, (y * this.#width + x) * PIXEL_BYTES);
    this.#touch({ x, y, width, height: 1 });
  }

  /** Copies an area to another place. @throws RangeError when either lies outside */
  copy(from: { readonly x: number; readonly y: number }, to: Area): void {
    this.#assertInside(to);
    this.#assertInside({ ...to, ...from });
    const rows = Array.from({ length: to.height }, (_, index) => index);
    // Downwards the last row goes first, so that no row is overwritten before it was copied.
    for (const index of to.y > from.y ? rows.reverse() : rows) {
      const start = ((from.y + index) * this.#width + from.x) * PIXEL_BYTES;
      const target = ((to.y + index) * this.#width + to.x) * PIXEL_BYTES;
      this.pixels.copy(this.pixels, target, start, start + to.width * PIXEL_BYTES);
    }
    this.#touch(to);
  }

  /** Notifies the viewers of a change; once per group of changes. */
  changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Returns how to stop listening. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes since a version, as tiles joined along their rows. */
  changedSince(version: number): Area[] {
    const areas: Area[] = [];
    for (let row = 0; row < this.#rows; row += 1) {
      for (let column = 0; column < this.#columns; column += 1) {
        if (!this.#isNewer(row, column, version)) continue;
        const first = column;
        while (column + 1 < this.#columns && this.#isNewer(row, column + 1, version)) column += 1;
        areas.push(this.#areaOf(row, first, column));
      }
    }
    return areas;
  }

  get #columns(): number {
    return Math.ceil(this.#width / TILE_WIDTH);
  }

  get #rows(): number {
    return Math.ceil(this.#height / TILE_HEIGHT);
  }

  #isNewer(row: number, column: number, version: number): boolean {
    return (this.#tiles[row * this.#columns + column] ?? 0) > version;
  }

  #areaOf(row: number, first: number, last: number): Area {
    const [x, y] = [first * TILE_WIDTH, row * TILE_HEIGHT];
    const width = Math.min((last + 1) * TILE_WIDTH, this.#width) - x;
    return { x, y, width, height: Math.min(TILE_HEIGHT, this.#height - y) };
  }

  #touch({ x, y, width, height }: Area): void {
    this.version += 1;
    const lastRow = Math.floor((y + height - 1) / TILE_HEIGHT);
    const lastColumn = Math.floor((x + width - 1) / TILE_WIDTH);
    for (let row = Math.floor(y / TILE_HEIGHT); row <= lastRow; row += 1) {
      for (let column = Math.floor(x / TILE_WIDTH); column <= lastColumn; column += 1)
        this.#tiles[row * this.#columns + column] = this.version;
    }
  }

  #assertInside({ x, y, width, height }: Area): void {
    if (x + width > this.#width || y + height > this.#height)
      throw new RangeError(`What is drawn at ${x},${y} does not fit the screen.`);
  }
}
