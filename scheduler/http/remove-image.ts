import type { Redis } from 'ioredis';
import type { ImageView, RemovedImage } from '../../common/contracts/images.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readNeededLayers, removeImages } from '../../common/redis/layer-removal.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { imageShelf } from './image-views.ts';

/** Names of children that a message lists. */
const MOST_NAMED = 10;

/** Removes the version that a reference names. @throws InvalidRequest, NotFound, ImageInUse, RedisUnavailable */
export async function removeImage(
  redis: Redis,
  reference: string,
  { force }: { readonly force: boolean },
): Promise<RemovedImage> {
  const shelf = imageShelf(await readLayers(redis));
  const name = shelf.find(reference);
  const { module, version, layerKey } = name;
  const image = shelf.view(name);
  const order = { layerKey, versions: [`${module}:${version}`] };
  const [outcome] = await removeImages(redis, [order], { force });
  if (outcome === 'gone') throw new FarmError('NotFound', `${module}:${version} was removed a moment ago.`);
  if (outcome !== 'removed') {
    const needing = (await readNeededLayers(redis)).get(layerKey) ?? [];
    const why = reasons(image, needing).join('; ') || 'it came into use a moment ago';
    throw new FarmError('ImageInUse', `${module}:${version} is in use: ${why}.`);
  }
  const { cluster, sizeBytes } = image;
  return { ...name, cluster, sizeBytes };
}

function reasons({ tags, children }: ImageView, needing: readonly string[]): string[] {
  const standing = children.map((child) => `${child.module}:${child.version}`);
  return [
    ...(needing.length > 0 ? [`running builds of ${list(needing)} start from it`] : []),
    ...(tags.length > 0 ? [`it has the tag ${list(tags)}`] : []),
    ...(standing.length > 0 ? [`${list(standing)} ${standing.length > 1 ? 'are' : 'is'} based on it`] : []),
  ];
}

function list(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return `${names.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
