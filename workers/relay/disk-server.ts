import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import http, { type Server } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { SPARSE_TYPE, sparseOf, wantsSparse } from '../../common/nbd/sparse-stream.ts';

/** Disks are large: read more at once than Node.js does by itself. */
const PIECE_BYTES = 1024 ** 2;
/** The kernel counts the size of devices in these, whatever their own sectors are. */
const SECTOR = 512;

/**
 * Serves the content of a disk, a file or a block device, to GET of any path; from `bytes=N-` on where that is asked, and without
 * its zeros to readers that know this form.
 */
export function createDiskServer(path: string): Server {
  const server = http.createServer(async (request, response) => {
    try {
      const size = await sizeOf(path);
      const first = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
      const start = Number(first ?? 0);
      if (start >= size) return response.writeHead(416).end();
      const isSparse = wantsSparse(request.headers);
      response.writeHead(first === undefined ? 200 : 206, {
        ...(isSparse
          ? { 'content-type': SPARSE_TYPE }
          : { 'content-type': 'application/octet-stream', 'content-length': size - start }),
        ...(first === undefined ? {} : { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
      });
      const content = createReadStream(path, { start, end: size - 1, highWaterMark: PIECE_BYTES });
      if (isSparse) await pipeline(content, (chunks) => sparseOf(chunks, { start, sizeBytes: size }), response);
      else await pipeline(content, response);
    } catch {
      // The reader asks again; a disk that cannot be read is a status, or an answer that ends too soon.
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    }
    return undefined;
  });
  // A transfer lasts as long as it lasts.
  server.requestTimeout = 0;
  return server;
}

/** In bytes. A block device has no size of its own: the kernel has it. */
async function sizeOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isBlockDevice()) return found.size;
  const [major, minor] = [(found.rdev >>> 8) & 0xfff, (found.rdev & 0xff) | ((found.rdev >>> 12) & 0xfff00)];
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * SECTOR;
}
