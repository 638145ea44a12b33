import { type RequestHandler, type Response, Router } from 'express';
import type { Redis } from 'ioredis';
import { isLayerDiskLink, LAYER_DISK_LINKS, type SignedLinkOptions } from '../../common/blobs/signed-links.ts';
import type { ExportView } from '../../common/contracts/exports.ts';
import type { LayerDiskName } from '../../common/contracts/layer-disks.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readLayer } from '../../common/redis/layers.ts';
import type { ExportOrder, ExportService } from '../exports/export-service.ts';

/** Exports of these count as one asker's. */
const COPIES = 'copies for other clusters';

/** Dependencies of the links. */
export interface LayerDiskLinksOptions extends SignedLinkOptions {
  readonly redis: Redis;
  /** Null: this farm has no storage for files. */
  readonly exports: ExportService | null;
}

/**
 * Disks of layers for the workers and importers of other clusters, who have no token. With `ask` it reports the progress of the file, when
 * that has changed or after some seconds; without, it is the file.
 */
export function layerDiskLinks(options: LayerDiskLinksOptions): RequestHandler {
  const router = Router();
  router.get(`${LAYER_DISK_LINKS}/:layerKey/:vm/:disk`, async (request, response) => {
    const { expires, signature, ask } = request.query;
    const { layerKey = '', vm = '', disk = '' } = request.params as Partial<LayerDiskName>;
    const name = { layerKey, vm, disk };
    if (!options.exports || !isLayerDiskLink(options, { disk: name, expires, signature })) {
      return void response.status(403).type('text').send('The link is not valid or has expired.\n');
    }
    const exports = options.exports;
    const order = await orderOf(options.redis, name);
    response.set('cache-control', 'no-store');
    if (ask === undefined) return sendDisk(exports, order, response);
    response.json(await howFar(exports, order, response));
  });
  return router;
}

/** @throws NotFound */
async function orderOf(redis: Redis, { layerKey, vm, disk }: LayerDiskName): Promise<ExportOrder> {
  const record = await readLayer(redis, layerKey);
  const found = record?.vms.find((each) => each.vm === vm)?.disks.find(({ name }) => name === disk);
  if (!record || !found)
    throw new FarmError('NotFound', `Disk "${disk}" of VM "${vm}" not found in the layer ${layerKey}.`);
  const { module, version, cluster } = record;
  const isOneOfSeveral = record.vms.flatMap(({ disks }) => disks).length > 1;
  return { module, version, vm, disk, format: 'qcow2', cluster, snapshot: found.snapshot, isOneOfSeveral };
}

async function howFar(exports: ExportService, order: ExportOrder, response: Response): Promise<ExportView> {
  const left = new AbortController();
  response.once('close', () => left.abort());
  const { id, state } = await exports.start(order, COPIES);
  if (state !== 'ready') await exports.changed(id, left.signal);
  return exports.view(id, COPIES);
}

async function sendDisk(exports: ExportService, order: ExportOrder, response: Response): Promise<void> {
  const { id } = await exports.start(order, COPIES);
  const path = await exports.content(id);
  response.type('application/octet-stream');
  response.sendFile(path, { cacheControl: false, etag: false, lastModified: false, dotfiles: 'allow' }, (error) => {
    if (error) response.destroy();
  });
}
