import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import http, { type Server } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** Disks are large: read more at once than Node.js does by itself. */
const PIECE_BYTES = 1024 ** 2;
/** The kernel counts the size of devices in these, whatever their own sectors are. */
const SECTOR = 512;

/** Serves the raw content of a disk, a file or a block device, to GET of any path; from `bytes=N-` on where that is asked. */
export function createDiskServer(path: string): Server {
  const server = http.createServer(async (request, response) => {
    try {
      const size = await sizeOf(path);
      const first = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
      const start = Number(first ?? 0);
      if (start >= size) return response.writeHead(416).end();
      response.writeHead(first === undefined ? 200 : 206, {
        'content-type': 'application/octet-stream',
        'content-length': size - start,
        ...(first === undefined ? {} : { 'content-range': `bytes ${start}-${size - 1}/${size}` }),
      });
      await pipeline(createReadStream(path, { start, end: size - 1, highWaterMark: PIECE_BYTES }), response);
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
