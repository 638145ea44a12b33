import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { FarmError } from '../../common/errors/farm-error.ts';
import { wantsSparse } from '../../common/nbd/sparse-stream.ts';
import { readLayers } from '../../common/redis/layers.ts';
import type { ExportService } from '../exports/export-service.ts';
import { audit } from './audit.ts';
import { chooseDisk } from './choose-disk.ts';
import type { Handlers } from './handler.ts';
import { imageShelf } from './image-views.ts';
import type { Admit } from './limits.ts';
import { sendSparse } from './send-sparse.ts';

/** Dependencies of the handlers. */
export interface ExportHandlersOptions {
  readonly redis: Redis;
  /** Null: this farm has no storage for files. */
  readonly exports: ExportService | null;
  /** Bounds how many downloads run at once. */
  readonly admit: Admit;
}

/** Disks of images as files. */
export function exportHandlers({ redis, exports, admit }: ExportHandlersOptions) {
  return {
    async exportImage({ params, body: { format, ...choice }, who, response }) {
      const shelf = imageShelf(await readLayers(redis));
      const image = shelf.view(shelf.find(params.image));
      const view = await requireExports(exports).start({ ...chooseDisk(image, choice), format }, who.name);
      const { module, version, vm, disk } = view;
      audit(response, { outcome: 'ordered', subject: `${module}:${version}/${vm}/${disk}` });
      return { status: 202, body: view };
    },

    async readExport({ params, query: { wait }, who, request, response }) {
      const [store, id, by] = [requireExports(exports), params.export, who.name];
      if (wait) {
        admit(response, request);
        const left = new AbortController();
        response.once('close', () => left.abort());
        await store.view(id, by);
        await store.changed(id, left.signal);
      }
      return { status: 200, body: await store.view(id, by) };
    },

    /** GET and HEAD, by ranges too; without zeros to clients that know this form. */
    async downloadExport({ params: { export: id }, who, request, response }) {
      const store = requireExports(exports);
      const { sha256, fileName } = await store.view(id, who.name);
      const path = await store.content(id);
      admit(response, request);
      response.attachment(fileName).set({ 'cache-control': 'no-store', etag: `"${sha256}"` });
      if (wantsSparse(request.headers)) return await sendSparse(path, request, response);
      response.type('application/octet-stream');
      response.sendFile(path, { cacheControl: false, etag: false, lastModified: false, dotfiles: 'allow' }, (error) => {
        if (error) response.destroy();
      });
      await once(response, 'close');
    },
  } satisfies Partial<Handlers>;
}

/** @throws LocalFilesOff */
export function requireExports(exports: ExportService | null): ExportService {
  if (exports) return exports;
  throw new FarmError('LocalFilesOff', 'Exports need storage: the option blobs.directory is not set.');
}
