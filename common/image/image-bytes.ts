/** The bytes of an image, wherever they lie. */
export interface ImageBytes {
  /** Undefined when it is not known. */
  readonly lengthBytes: number | undefined;
  /** Returns the bytes there: fewer than requested only at the end of the image. @throws BytesUnavailable */
  read(offset: number, length: number): Promise<Buffer>;
}

/** Only the beginning can be read, as from a server that knows no ranges. */
export class BytesUnavailable extends Error {
  override readonly name = 'BytesUnavailable';
}

/** The content is not an image that a machine could start from. The message names its kind, as in "it is ...". */
export class ImageRefused extends Error {
  override readonly name = 'ImageRefused';
}
