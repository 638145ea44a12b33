import { once } from 'node:events';
import { json, Router } from 'express';
import type { Redis } from 'ioredis';
import { exportQuerySchema } from '../../common/contracts/api/parameters.ts';
import { exportRequestSchema } from '../../common/contracts/exports.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readLayers } from '../../common/redis/layers.ts';
import type { ExportService } from '../exports/export-service.ts';
import { audit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { chooseDisk } from './choose-disk.ts';
import { imageShelf } from './image-views.ts';
import type { Admit } from './limits.ts';

const BODY_LIMIT = '16kb';

/** What the routes work with. */
export interface ExportRoutesOptions {
  readonly redis: Redis;
  /** Null: this farm has no place for files. */
  readonly exports: ExportService | null;
  /** Bounds how many downloads run at once. */
  readonly admit: Admit;
}

/** Disks of images as files. */
export function exportRoutes({ redis, exports, admit }: ExportRoutesOptions): Router {
  const router = Router();

  router.post('/images/:image/exports', json({ limit: BODY_LIMIT }), async (request, response) => {
    const { format, ...wanted } = exportRequestSchema.parse(request.body);
    const shelf = imageShelf(await readLayers(redis));
    const image = shelf.view(shelf.find(String(request.params['image'])));
    const view = await requireExports(exports).start(
      { ...chooseDisk(image, wanted), format },
      principalOf(request).name,
    );
    const { module, version, vm, disk } = view;
    audit(response, { outcome: 'ordered', subject: `${module}:${version}/${vm}/${disk}` });
    response.status(202).json(view);
  });

  router.get('/exports/:export', async (request, response) => {
    const { wait } = exportQuerySchema.parse(request.query);
    const [store, id, by] = [requireExports(exports), request.params.export, principalOf(request).name];
    if (wait) {
      admit(response, request);
      const left = new AbortController();
      response.once('close', () => left.abort());
      await store.view(id, by);
      await store.changed(id, left.signal);
    }
    response.json(await store.view(id, by));
  });

  /** GET and HEAD, by ranges too. */
  router.get('/exports/:export/content', async (request, response) => {
    const store = requireExports(exports);
    const id = request.params.export;
    const { sha256, fileName } = await store.view(id, principalOf(request).name);
    const path = await store.content(id);
    admit(response, request);
    response
      .attachment(fileName)
      .type('application/octet-stream')
      .set({ 'cache-control': 'no-store', etag: `"${sha256}"` });
    response.sendFile(path, { cacheControl: false, etag: false, lastModified: false, dotfiles: 'allow' }, (error) => {
      if (error) response.destroy();
    });
    await once(response, 'close');
  });
  return router;
}

/** @throws LocalFilesOff */
export function requireExports(exports: ExportService | null): ExportService {
  if (exports) return exports;
  throw new FarmError('LocalFilesOff', 'This farm has no place for exports: the option blobs.directory is missing.');
}
