import type { Response } from 'undici';
import { readValidator } from '../contracts/source-validator.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { BytesUnavailable, type ImageBytes } from '../image/image-bytes.ts';
import { HEAD_BYTES } from '../image/probe-image.ts';
import { shownUrl } from '../text/shown-url.ts';
import { fetchSource, type SourceRequest } from './fetch-source.ts';

/** Beyond the beginning no more than this is fetched: the importer fetches all of it anyway. */
const MOST_BYTES = 2 * 1024 ** 2;

/** Content behind a URL, fetched piece by piece. */
export interface RemoteBytes extends ImageBytes {
  /** HTTP status of the answer. */
  readonly status: number;
}

/** Asks for the beginning, and for more when it is read. @throws as `fetchSource`, also for an answer that breaks off */
export async function openRemoteBytes(url: string, request: SourceRequest): Promise<RemoteBytes> {
  const first = await fetchSource(url, { ...request, headers: rangeOf(0, HEAD_BYTES) });
  const head = await beginning(first, HEAD_BYTES).catch((error: unknown) => {
    request.signal?.throwIfAborted();
    const { status } = first;
    const message = `${shownUrl(url)}: the connection was lost during the answer: ${errorMessage(error)}`;
    throw new FarmError('SourceUnreachable', message, { cause: error, details: { status } });
  });
  const hasRanges = first.status === 206;
  const lengthBytes = readValidator(first.headers).lengthBytes ?? (head.length < HEAD_BYTES ? head.length : undefined);
  let left = MOST_BYTES;
  const read = async (offset: number, length: number) => {
    const end = Math.min(offset + length, lengthBytes ?? offset + length);
    if (end <= head.length || offset >= end) return head.subarray(offset, Math.max(offset, end));
    left -= end - offset;
    if (!hasRanges || left < 0) throw new BytesUnavailable();
    try {
      const response = await fetchSource(url, { ...request, headers: rangeOf(offset, end - offset) });
      const bytes = await beginning(response, end - offset);
      if (response.status === 206 && bytes.length === end - offset) return bytes;
    } catch {
      request.signal?.throwIfAborted();
    }
    throw new BytesUnavailable();
  };
  return { status: first.status, lengthBytes, read };
}

function rangeOf(offset: number, length: number) {
  return { range: `bytes=${offset}-${offset + length - 1}` };
}

/** A server that knows no ranges sends everything. */
async function beginning(response: Response, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let received = 0;
  for await (const chunk of response.body ?? []) {
    parts.push(chunk);
    received += chunk.byteLength;
    if (received >= length) break;
  }
  return Buffer.concat(parts).subarray(0, length);
}
