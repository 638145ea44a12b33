/** The bytes of an image, wherever they lie. */
export interface ImageBytes {
  /** Undefined when it is not known. */
  readonly lengthBytes: number | undefined;
  /** What stands there: less than asked for only where the image ends. @throws BytesUnavailable */
  read(offset: number, length: number): Promise<Buffer>;
}

/** Only the beginning can be read, as from a server that knows no ranges. */
export class BytesUnavailable extends Error {
  override readonly name = 'BytesUnavailable';
}

/** What was found is not an image that a machine could start from. The message says what it is, as in "it is ...". */
export class ImageRefused extends Error {
  override readonly name = 'ImageRefused';
}
