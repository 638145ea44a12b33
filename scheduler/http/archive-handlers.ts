import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';
import { readVersion } from '../../common/config/version.ts';
import { gatherBuild } from '../builds/gather-build.ts';
import type { Handlers } from './handler.ts';
import { loadBuild } from './layer-builds.ts';
import type { StreamOptions } from './server-sent-events.ts';

/** The archive of a build. */
export function archiveHandlers({ redis, admit }: StreamOptions) {
  const version = readVersion();
  return {
    async downloadArchive({ params: { id }, request, response }) {
      const loaded = await loadBuild(redis, id);
      admit(response, request);
      const folder = await mkdtemp(join(tmpdir(), 'slipway-archive-'));
      try {
        await gatherBuild({ redis, ...loaded, folder, version });
        const archive = pack();
        response.attachment(`build-${id}.tar.gz`).type('application/gzip').set('cache-control', 'no-store');
        const sending = pipeline(archive, createGzip(), response);
        await Promise.all([sending, addFolder(archive, folder, `build-${id}`)]).catch((error: unknown) => {
          archive.destroy();
          // A client that has left gets no answer.
          if (!response.destroyed) throw error;
        });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  } satisfies Partial<Handlers>;
}

async function addFolder(archive: ReturnType<typeof pack>, folder: string, prefix: string): Promise<void> {
  for (const path of (await readdir(folder, { recursive: true })).toSorted()) {
    const found = await stat(join(folder, path));
    if (!found.isFile()) continue;
    const entry = archive.entry({ name: `${prefix}/${path}`, size: found.size, mode: 0o644, mtime: found.mtime });
    await pipeline(createReadStream(join(folder, path)), entry);
  }
  archive.finalize();
}
