import { json, Router } from 'express';
import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { readVersion } from '../../common/config/version.ts';
import { imagesQuerySchema, removalQuerySchema, writeCursor } from '../../common/contracts/api/parameters.ts';
import {
  type ImageName,
  type ImageRetention,
  imageRetention,
  type Pruned,
  pruneRequestSchema,
  type TagView,
  tagRequestSchema,
  tagSchema,
} from '../../common/contracts/images.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readWork } from '../../common/redis/builds.ts';
import { readLayers, tagImage, untagImage } from '../../common/redis/layers.ts';
import { provenanceOf } from '../builds/provenance.ts';
import { pruneImages } from '../catalog/prune-images.ts';
import { isLimited } from '../catalog/superfluous-layers.ts';
import { audit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { imageShelf } from './image-views.ts';
import { removeImage } from './remove-image.ts';

const BODY_LIMIT = '16kb';

type Position = readonly [namedAt: string, name: string];

/** What the routes work with. */
export interface ImageRoutesOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  /** Of the configuration. */
  readonly retention: ImageRetention;
}

/** Images: versions of modules, and their tags. */
export function imageRoutes({ redis, clock, retention }: ImageRoutesOptions): Router {
  const router = Router();
  const version = readVersion();

  router.get('/images', async (request, response) => {
    const { limit, cursor, module } = imagesQuerySchema.parse(request.query);
    const shelf = imageShelf(await readLayers(redis));
    const rows = shelf.images
      .filter((image) => module === undefined || image.module === module)
      .map((image) => ({ image, position: positionOf(image) }))
      .toSorted((a, b) => compare(b.position, a.position))
      .filter(({ position }) => cursor === undefined || compare(position, cursor) < 0);
    const page = rows.slice(0, limit);
    const last = page.at(-1)?.position;
    response.json({
      images: page.map(({ image }) => shelf.view(image)),
      nextCursor: last && rows.length > limit ? writeCursor(last) : null,
    });
  });

  router.get('/images/:image/provenance', async (request, response) => {
    const finished = await readLayers(redis);
    const image = imageShelf(finished).find(request.params.image);
    const record = finished.layers.get(image.layerKey);
    if (!record) throw new FarmError('BrokenInvariant', `The layer ${image.layerKey} has a name and no record.`);
    const parents = finished.images.filter(({ layerKey }) => record.parents.includes(layerKey));
    const work = await readWork(redis, record.layerBuild);
    response.json(provenanceOf({ image, record, parents, work, version }));
  });

  router.get('/images/:image', async (request, response) => {
    const shelf = imageShelf(await readLayers(redis));
    response.json(shelf.view(shelf.find(request.params.image)));
  });

  router.delete('/images/:image', async (request, response) => {
    const { force } = removalQuerySchema.parse(request.query);
    const removed = await removeImage(redis, request.params.image, force);
    audit(response, { outcome: 'removed', subject: `${removed.module}:${removed.version}` });
    response.json(removed);
  });

  router.post('/images/prune', json({ limit: BODY_LIMIT }), async (request, response) => {
    const { dryRun, ...asked } = pruneRequestSchema.parse(request.body);
    const own = imageRetention(asked);
    const applied = isLimited(own) ? own : retention;
    if (!isLimited(applied)) {
      const options = 'the farm has no `retention.images`, and the request says neither keep, maxAge nor untagged';
      throw new FarmError('InvalidRequest', `Nothing says which images may go: ${options}.`);
    }
    const images = await pruneImages({ redis, clock }, applied, { dryRun });
    audit(response, { outcome: dryRun ? 'looked' : 'removed', subject: `${images.length} images` });
    const answer: Pruned = { dryRun, images };
    response.json(answer);
  });

  router.put('/images/:module/tags/:tag', json({ limit: BODY_LIMIT }), async (request, response) => {
    const module = String(request.params['module']);
    const tag = tagSchema.parse(request.params['tag']);
    const { version } = tagRequestSchema.parse(request.body);
    const image = imageShelf(await readLayers(redis)).find(`${module}:${version}`);
    const by = principalOf(request).name;
    const formerVersion = await tagImage(redis, image, { tag, by });
    audit(response, { outcome: formerVersion === null ? 'created' : 'replaced', subject: `${module}@${tag}` });
    const { layerKey } = image;
    const view: TagView = { module, tag, version, layerKey, by, setAt: new Date().toISOString(), formerVersion };
    response.json(view);
  });

  router.delete('/images/:module/tags/:tag', async (request, response) => {
    const { module, tag } = request.params;
    const version = await untagImage(redis, module, tag);
    if (version === null) throw new FarmError('NotFound', `No version of "${module}" has the tag "${tag}".`);
    audit(response, { outcome: 'removed', subject: `${module}@${tag}` });
    response.status(204).end();
  });
  return router;
}

function positionOf({ namedAt, module, version }: ImageName): Position {
  return [namedAt, `${module}:${version}`];
}

function compare(a: Position, b: Position): number {
  const [left, right] = a[0] === b[0] ? [a[1], b[1]] : [a[0], b[0]];
  return Number(left > right) - Number(left < right);
}
