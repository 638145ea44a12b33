import { Router } from 'express';
import type { Redis } from 'ioredis';
import type { ImageView, LayerRecord } from '../../common/contracts/layers.ts';
import { type FinishedLayers, readLayers } from '../../common/redis/layers.ts';
import type { PhaseQueues } from '../dispatch/queues.ts';
import { clusterView, type KnownCluster } from './cluster-views.ts';
import { imagesQuerySchema, writeCursor } from './requests.ts';

/** What the routes read. */
export interface CatalogRoutesOptions {
  readonly redis: Redis;
  readonly queues: PhaseQueues;
  readonly clusters: readonly KnownCluster[];
}

type Position = readonly [createdAt: string, layerKey: string];

/** Finished layers, and the clusters they are on. */
export function catalogRoutes({ redis, queues, clusters }: CatalogRoutesOptions): Router {
  const router = Router();

  router.get('/images', async (request, response) => {
    const { limit, cursor } = imagesQuerySchema.parse(request.query);
    const { layers, newest } = await readLayers(redis);
    const rows = [...layers.values()]
      .map((image) => ({ image, position: [image.createdAt, image.layerKey] as const }))
      .toSorted((a, b) => compare(b.position, a.position))
      .filter(({ position }) => cursor === undefined || compare(position, cursor) < 0);
    const page = rows.slice(0, limit);
    const last = page.at(-1)?.position;
    response.json({
      images: page.map(({ image }) => imageView(image, { layers, newest })),
      nextCursor: last && rows.length > limit ? writeCursor(last) : null,
    });
  });

  router.get('/clusters', async (_request, response) => {
    response.json({ clusters: await Promise.all(clusters.map((cluster) => clusterView({ redis, queues }, cluster))) });
  });
  return router;
}

function imageView(record: LayerRecord, { layers, newest }: FinishedLayers): ImageView {
  const isCurrent = ({ module, layerKey }: LayerRecord) => newest.get(module) === layerKey;
  const standsOn = record.parents.flatMap((key) => {
    const parent = layers.get(key);
    return parent ? [{ module: parent.module, version: parent.version, current: isCurrent(parent) }] : [];
  });
  return { ...record, current: isCurrent(record), standsOn };
}

function compare(a: Position, b: Position): number {
  const [left, right] = a[0] === b[0] ? [a[1], b[1]] : [a[0], b[0]];
  return Number(left > right) - Number(left < right);
}
