import type { IncomingMessage, ServerResponse } from 'node:http';
import { RAW, SPARSE, SPARSE_TYPE, wantsSparse } from '../../common/nbd/sparse-stream.ts';
import { ApiError } from '../api/api-error.ts';
import { streamRaw } from '../storage/stream-raw.ts';
import { claimAt } from './content-path.ts';
import type { ExportedDisk, ExportQuestion } from './export-messages.ts';

const TOKEN = 'x-kubevirt-export-token';

/** One request for the content of a disk. */
export interface ExportExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted when the client leaves or the server stops. */
  readonly signal: AbortSignal;
  /** The disk that a token may read. @throws ApiError 401, 404 */
  find(question: ExportQuestion): Promise<ExportedDisk>;
}

/** Sends an exported disk, or a range of it, to a request with the token of its export. @throws ApiError */
export async function answerExport({ request, response, signal, find }: ExportExchange): Promise<void> {
  const claim = claimAt(request.url ?? '');
  if (!claim) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  const disk = await find({ ...claim, token: String(request.headers[TOKEN] ?? '') });
  const { sizeBytes: size } = disk;
  const range = rangeOf(request.headers.range, size);
  const { start, end } = range ?? { start: 0, end: size - 1 };
  const isSparse = wantsSparse(request.headers);
  response.writeHead(range ? 206 : 200, {
    ...(isSparse
      ? { 'Content-Type': SPARSE_TYPE }
      : { 'Content-Type': 'application/octet-stream', 'Content-Length': end - start + 1 }),
    'Accept-Ranges': 'bytes',
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {}),
  });
  if (request.method !== 'HEAD') {
    await streamRaw(disk, response, { start, end, encoding: isSparse ? SPARSE : RAW, signal });
  }
  response.end();
}

/** The one range of `bytes=FIRST-` or `bytes=FIRST-LAST`; undefined: all. @throws ApiError 416 */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  if (start >= size) throw new ApiError(416, 'BadRequest', `the content has ${size} bytes`);
  return { start, end: last ? Math.min(Number(last), size - 1) : size - 1 };
}
