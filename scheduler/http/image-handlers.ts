import type { Redis } from 'ioredis';
import type { Clock } from '../../common/clock/clock.ts';
import { readVersion } from '../../common/config/version.ts';
import { writeCursor } from '../../common/contracts/api/parameters.ts';
import { type ImageName, type ImageRetention, imageRetention } from '../../common/contracts/images.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readLayerBuild } from '../../common/redis/layer-builds.ts';
import { readLayers, tagImage, untagImage } from '../../common/redis/layers.ts';
import { provenanceOf } from '../builds/provenance.ts';
import { pruneImages } from '../catalog/prune-images.ts';
import { isLimited } from '../catalog/superfluous-layers.ts';
import { audit } from './audit.ts';
import type { Handlers } from './handler.ts';
import { imageShelf } from './image-views.ts';
import { removeImage } from './remove-image.ts';

type Position = readonly [namedAt: string, name: string];

/** Dependencies of the handlers. */
export interface ImageHandlersOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  /** Of the configuration. */
  readonly retention: ImageRetention;
}

/** Images: versions of modules, and their tags. */
export function imageHandlers({ redis, clock, retention }: ImageHandlersOptions) {
  const farmVersion = readVersion();
  return {
    async listImages({ query: { limit, cursor, module } }) {
      const shelf = imageShelf(await readLayers(redis));
      const rows = shelf.images
        .filter((image) => module === undefined || image.module === module)
        .map((image) => ({ image, position: positionOf(image) }))
        .toSorted((a, b) => compare(b.position, a.position))
        .filter(({ position }) => cursor === undefined || compare(position, cursor) < 0);
      const page = rows.slice(0, limit);
      const last = page.at(-1)?.position;
      const nextCursor = last && rows.length > limit ? writeCursor(last) : null;
      return { status: 200, body: { images: page.map(({ image }) => shelf.view(image)), nextCursor } };
    },

    async readImage({ params }) {
      const shelf = imageShelf(await readLayers(redis));
      return { status: 200, body: shelf.view(shelf.find(params.image)) };
    },

    async readProvenance({ params }) {
      const finished = await readLayers(redis);
      const image = imageShelf(finished).find(params.image);
      const record = finished.layers.get(image.layerKey);
      if (!record) throw new FarmError('BrokenInvariant', `The layer ${image.layerKey} has a name but no record.`);
      const parents = finished.images.filter(({ layerKey }) => record.parents.includes(layerKey));
      const stored = await readLayerBuild(redis, record.layerBuild);
      return { status: 200, body: provenanceOf({ image, record, parents, stored, version: farmVersion }) };
    },

    async removeImage({ params, query: { force }, response }) {
      const removed = await removeImage(redis, params.image, { force });
      audit(response, { outcome: 'removed', subject: `${removed.module}:${removed.version}` });
      return { status: 200, body: removed };
    },

    async pruneImages({ body: { dryRun, ...asked }, response }) {
      const own = imageRetention(asked);
      const applied = isLimited(own) ? own : retention;
      if (!isLimited(applied)) {
        const options = '`retention.images` is not configured, and the request has neither keep, maxAge nor untagged';
        throw new FarmError('InvalidRequest', `No retention is given: ${options}.`);
      }
      const images = await pruneImages({ redis, clock }, applied, { dryRun });
      audit(response, { outcome: dryRun ? 'looked' : 'removed', subject: `${images.length} images` });
      return { status: 200, body: { dryRun, images } };
    },

    async tagImage({ params: { module, tag }, body: { version }, who, response }) {
      const image = imageShelf(await readLayers(redis)).find(`${module}:${version}`);
      const formerVersion = await tagImage(redis, image, { tag, by: who.name });
      audit(response, { outcome: formerVersion === null ? 'created' : 'replaced', subject: `${module}@${tag}` });
      const { layerKey } = image;
      const setAt = new Date().toISOString();
      return { status: 200, body: { module, tag, version, layerKey, by: who.name, setAt, formerVersion } };
    },

    async untagImage({ params: { module, tag }, response }) {
      const version = await untagImage(redis, module, tag);
      if (version === null) {
        const details = { solve: `\`slipway images ${module}\` shows its tags.` };
        throw new FarmError('NotFound', `No version of "${module}" has the tag "${tag}".`, { details });
      }
      audit(response, { outcome: 'removed', subject: `${module}@${tag}` });
    },
  } satisfies Partial<Handlers>;
}

function positionOf({ namedAt, module, version }: ImageName): Position {
  return [namedAt, `${module}:${version}`];
}

function compare(a: Position, b: Position): number {
  const [left, right] = a[0] === b[0] ? [a[1], b[1]] : [a[0], b[0]];
  return Number(left > right) - Number(left < right);
}
