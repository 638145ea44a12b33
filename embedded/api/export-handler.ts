import { RAW, SPARSE, SPARSE_TYPE, wantsSparse } from '../../common/nbd/sparse-stream.ts';
import { ApiError } from './api-error.ts';
import type { Exchange } from './http/exchange.ts';
import type { ExportAccess } from './subresources/machine-access.ts';

/** Below it are the contents of VirtualMachineExports, as below the ingress of a real cluster. */
export const EXPORT_PATH = '/api/export.kubevirt.io/v1beta1';
const TOKEN = 'x-kubevirt-export-token';

/** Serves exported disks to requests with the token of the export; false for any other path. */
export async function answerExport(exchange: Exchange, exports: ExportAccess | undefined): Promise<boolean> {
  const { request, response, url, method, signal } = exchange;
  if (!url.pathname.startsWith(`${EXPORT_PATH}/`)) return false;
  const below = url.pathname.slice(EXPORT_PATH.length);
  const [, namespace = '', name = '', claim = ''] =
    /^\/namespaces\/([^/]+)\/virtualmachineexports\/([^/]+)\/volumes\/([^/]+)\/disk\.img$/.exec(below) ?? [];
  if (claim === '' || !exports) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  const disk = await exports.open({ namespace, name }, claim, String(request.headers[TOKEN] ?? ''));
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
  if (method !== 'HEAD') {
    await disk.stream(response, { start, end, encoding: isSparse ? SPARSE : RAW, signal }).catch((error: unknown) => {
      response.destroy();
      if (!signal.aborted) throw error;
    });
  }
  response.end();
  return true;
}

/** The one range of `bytes=FIRST-` or `bytes=FIRST-LAST`; undefined: all. @throws ApiError 416 */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  if (start >= size) throw new ApiError(416, 'BadRequest', `the content has ${size} bytes`);
  return { start, end: last ? Math.min(Number(last), size - 1) : size - 1 };
}
