/**
 * Reason of the DataVolume's `Running` condition, as CDI takes it from its pod. `ImagePullFailed`: the content broke off, or a registry
 * did not give the image.
 */
export type ImportErrorReason = 'Error' | 'ChecksumError' | 'ImagePullFailed';

/** Beginning of CDI's message that the content could not be read. */
export const TRANSFER = 'Unable to process data: Unable to transfer source data to scratch space:';

/** The same for a container image. */
export const READ_IMAGE = `${TRANSFER} Failed to read registry image:`;

/** Why an attempt failed, in CDI's terms: only a wrong checksum is final, everything else is tried again. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly reason: ImportErrorReason;

  constructor(reason: ImportErrorReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/** CDI's own sentence for a volume that has too little room, and the sizes. */
export function sourceTooLarge(sizes: string): ImportError {
  return new ImportError('Error', `DataVolume too small to contain image: ${sizes}`);
}
