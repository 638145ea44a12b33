import type { FailureReason } from '../../../common/contracts/failures.ts';
import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';
import type { SourceRequest } from '../../../common/fetch/fetch-source.ts';
import { openRemoteBytes } from '../../../common/fetch/remote-bytes.ts';
import { ImageRefused } from '../../../common/image/image-bytes.ts';
import { type ProbedImage, probeImage } from '../../../common/image/probe-image.ts';
import { importFailure } from './import-hints.ts';

/** Result of a worker's look at the URL of an image. */
export interface SourceLook {
  /** The HTTP status and the announced length, in words. */
  readonly answer: string;
  readonly image?: ProbedImage;
  /** Why no importer could make a disk of it. */
  readonly refusal?: { readonly reason: FailureReason; readonly message: string };
}

/** Purpose of the import. `boot`: the only medium that a machine starts from. */
export type SourceUse = 'boot' | 'disk' | 'iso';

/** No cluster gets another answer than these. */
const REFUSALS: Readonly<Record<number, FailureReason>> = {
  401: 'ImportFailed',
  404: 'SourceUnreachable',
  410: 'SourceUnreachable',
};

/**
 * Looks at an image before it is imported. Undefined when the worker cannot reach it. Where the server has trouble, only
 * its answer is known: the importer sees for itself, and tries again.
 */
export async function lookAtSource(
  url: string,
  request: Pick<SourceRequest, 'agent' | 'signal' | 'credentials'>,
): Promise<SourceLook | undefined> {
  let answer = '';
  try {
    const bytes = await openRemoteBytes(url, request);
    const { status, lengthBytes } = bytes;
    answer = `${statusWords(status)}, ${lengthBytes === undefined ? 'of unknown length' : `${lengthBytes} bytes`}`;
    return { answer, image: await probeImage(bytes) };
  } catch (error) {
    request.signal?.throwIfAborted();
    if (error instanceof ImageRefused) {
      return { answer, refusal: { reason: 'ImportFailed', message: `it is ${error.message}` } };
    }
    const status = error instanceof FarmError ? Number(error.details['status'] ?? 0) : 0;
    if (status === 0) return undefined;
    const reason = REFUSALS[status];
    // The message begins with the URL, which is before it already.
    const message = errorMessage(error).replace(/^\S+: /, '');
    return { answer: statusWords(status), ...(reason ? { refusal: { reason, message } } : {}) };
  }
}

/** 206 answers the partial request of the look: a request for the whole is answered with 200. */
function statusWords(status: number): string {
  return `HTTP ${status === 206 ? 200 : status}`;
}

/**
 * Fails an import that cannot work, and returns a warning about a possible mistake, if any.
 * @throws PhaseFailure with the reason
 */
export function judgeLook(look: SourceLook, { what, use }: { what: string; use: SourceUse }): string | undefined {
  const { image, refusal } = look;
  const fail = (reason: FailureReason, message: string): never => {
    throw importFailure(reason, `Importing ${what}: ${message}`);
  };
  if (refusal) return fail(refusal.reason, refusal.message);
  if (!image || image.compression !== undefined) return undefined;
  const { format, kind, volume } = image;
  if (use === 'iso') {
    if (format !== 'raw')
      return fail('ImportFailed', `it is a disk image (${format}), not an ISO: give it as source.url`);
    if (kind === 'iso' || kind === 'hybrid') return undefined;
    if (kind === 'disk' && volume === undefined)
      return fail('ImportFailed', 'it is a raw disk image with a boot sector, not an ISO: give it as source.url');
    return `${what} is ${volume ?? 'not an ISO 9660 or UDF image'}: it is attached as a CD unchanged`;
  }
  if (kind === 'data') {
    const found = volume === undefined ? 'of no known format' : `${volume} without a partition table`;
    if (use === 'boot') return fail('ImportFailed', `it is ${found}, and has no boot sector: no machine boots from it`);
    return `${what} is ${found}, and has no boot sector: it is treated as a raw disk`;
  }
  if (kind === 'iso') {
    return fail(
      'ImportFailed',
      'it is an ISO that boots from a CD only: list it under isos, with source: { blank: true }',
    );
  }
  return kind === 'hybrid' ? `${what} is an ISO: to install a system from it, list it under isos` : undefined;
}
