import {
  formatImageReference,
  groupByLayer,
  type ImageName,
  type ImageReference,
  type ImageView,
  parseImageReference,
} from '../../common/contracts/images.ts';
import type { LayerRecord } from '../../common/contracts/layers.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FinishedLayers } from '../../common/redis/layers.ts';

/** The images of a catalog, with their descriptions. */
export interface ImageShelf {
  readonly images: readonly ImageName[];
  /** The image of a reference. @throws InvalidRequest, NotFound */
  find(text: string): ImageName;
  view(image: ImageName): ImageView;
}

export function imageShelf(finished: FinishedLayers): ImageShelf {
  const { layers, images, tags } = finished;
  const newest = new Map<string, ImageName>();
  for (const image of images) {
    const other = newest.get(image.module);
    if (!other || image.version > other.version) newest.set(image.module, image);
  }
  const isCurrent = (image: ImageName) => newest.get(image.module)?.version === image.version;
  const namesBy = groupByLayer(images);
  const childrenBy = childrenOf(layers.values());
  // A layer with several names is called by the one that it got last.
  const relative = (layerKey: string) => {
    const name = namesBy.get(layerKey)?.reduce((one, other) => (other.namedAt >= one.namedAt ? other : one));
    return name ? [{ module: name.module, version: name.version, current: isCurrent(name) }] : [];
  };
  return {
    images,
    find: (text) => findImage(text, finished, newest),
    view(image) {
      const { module, version, layerKey, namedAt, by } = image;
      const record = recordOf(image, layers);
      const disks = record.vms.flatMap((vm) => vm.disks);
      return {
        ...{ ...record, module, version, current: isCurrent(image), namedAt, by },
        tags: tags.filter((tag) => tag.module === module && tag.version === version).map(({ tag }) => tag),
        sizeBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        ownBytes: sumOf(disks.map(({ ownBytes }) => ownBytes)),
        usedBytes: sumOf(disks.map(({ usedBytes }) => usedBytes)),
        basedOn: record.parents.flatMap(relative),
        children: (childrenBy.get(layerKey) ?? []).flatMap(relative),
      };
    },
  };
}

function findImage(text: string, { images, tags }: FinishedLayers, newest: ReadonlyMap<string, ImageName>): ImageName {
  const reference = parseImageReference(text);
  if (!reference)
    throw new FarmError('InvalidRequest', `"${text}" is not an image: write NAME, NAME:VERSION or NAME@TAG.`);
  const { module, tag } = reference;
  const version = versionOf(reference, { tags, newest });
  const found = images.find((image) => image.module === module && image.version === version);
  if (found) return found;
  if (!newest.has(module)) {
    throw noImage(`Module "${module}" has no images${didYouMean(module, [...newest.keys()])}`);
  }
  const there = images.filter((image) => image.module === module).map((image) => `${image.version}`);
  const known = tag === null ? there : tags.filter((each) => each.module === module).map((each) => each.tag);
  const what = tag === null ? 'versions' : 'tags';
  const list =
    known.length === 0 ? 'none' : known.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).join(', ');
  throw noImage(`Image ${formatImageReference(reference)} not found; ${what} of ${module}: ${list}.`);
}

function noImage(message: string): FarmError {
  return new FarmError('NotFound', message, { details: { solve: '`slipway images` lists the images of the farm.' } });
}

function versionOf(
  { module, version, tag }: ImageReference,
  { tags, newest }: Pick<FinishedLayers, 'tags'> & { readonly newest: ReadonlyMap<string, ImageName> },
): number | undefined {
  if (version !== null) return version;
  if (tag === null) return newest.get(module)?.version;
  return tags.find((each) => each.module === module && each.tag === tag)?.version;
}

/** Null where one is not known. */
function sumOf(sizes: readonly (number | undefined)[]): number | null {
  return sizes.reduce<number | null>((sum, size) => (sum === null || size === undefined ? null : sum + size), 0);
}

function recordOf({ layerKey }: ImageName, layers: FinishedLayers['layers']): LayerRecord {
  const record = layers.get(layerKey);
  if (!record) throw new FarmError('BrokenInvariant', `The layer ${layerKey} has a name but no record.`);
  return record;
}

function childrenOf(records: Iterable<LayerRecord>): ReadonlyMap<string, string[]> {
  const children = new Map<string, string[]>();
  for (const { layerKey, parents } of records) {
    for (const parent of parents) {
      const known = children.get(parent);
      if (known) known.push(layerKey);
      else children.set(parent, [layerKey]);
    }
  }
  return children;
}
