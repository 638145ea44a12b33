import { z } from 'zod';
import { layerRecordSchema } from './layers.ts';
import { ageOrZeroSchema } from './requested-durations.ts';

/** A version of a module: given when a build of that module succeeds, and never given twice. */
export const imageNameSchema = z.object({
  module: z.string(),
  /** Counts up per module name. */
  version: z.int(),
  layerKey: z.string(),
  /** ISO 8601. */
  namedAt: z.string(),
  /** Name of the token whose build it came from; null: not known. */
  by: z.string().nullable(),
});

/** A name for a version, which can be moved to another version. */
export const imageTagSchema = z.object({
  module: z.string(),
  tag: z.string(),
  version: z.int(),
  layerKey: z.string(),
  /** ISO 8601. */
  setAt: z.string(),
  /** Name of the token. */
  by: z.string(),
});

/** Data on the snapshots of a layer beside its record. */
export const layerNamesSchema = z.object({ images: z.array(imageNameSchema), tags: z.array(imageTagSchema) });

const relativeSchema = z.object({ module: z.string(), version: z.int(), current: z.boolean() });

/** One row of `GET /images`: a version of a module, and the layer that it is. */
export const imageViewSchema = layerRecordSchema.extend({
  /** Whether it is the newest version of its module, which `buildRef` means where it names no other. */
  current: z.boolean(),
  tags: z.array(z.string()),
  namedAt: imageNameSchema.shape.namedAt,
  by: imageNameSchema.shape.by,
  /** Of all disks, as guests see them. */
  sizeBytes: z.int(),
  /** Storage of all disks, without the images below; null: not reported by the cluster. */
  ownBytes: z.int().nullable(),
  /** The same with the images below; an image below two disks counts twice. */
  usedBytes: z.int().nullable(),
  /** The layers that it was started from, as far as they are there, by their newest names. */
  basedOn: z.array(relativeSchema),
  /** The layers that were started from it. */
  children: z.array(relativeSchema),
});

const TAG = /^[A-Za-z][A-Za-z0-9._-]{0,62}$/;

export const tagSchema = z
  .string()
  .regex(TAG, 'A tag begins with a letter; up to 62 letters, digits, dots, dashes and underscores follow.');

export const tagRequestSchema = z.strictObject({ version: z.int().min(1).describe('The version that gets the tag.') });

/** The answer to it. */
export const tagViewSchema = imageTagSchema.extend({
  /** The version that had it before; null: none. */
  formerVersion: z.int().nullable(),
});

/** Images that `base`, `base:3` and `base@stable` name: the newest version, that one, and the one that has the tag. */
export interface ImageReference {
  readonly module: string;
  readonly version: number | null;
  readonly tag: string | null;
}

/** Null when it is not a reference. */
export function parseImageReference(text: string): ImageReference | null {
  const [, module = '', version, tag] = /^([^:@]+)(?::([1-9]\d{0,8})|@(.+))?$/.exec(text) ?? [];
  if (module === '' || (tag !== undefined && !TAG.test(tag))) return null;
  return { module, version: version === undefined ? null : Number(version), tag: tag ?? null };
}

/**
 * Which versions are kept; null means no limit. Times in milliseconds since a version got its number.
 */
export interface ImageRetention {
  /** This many of the newest versions of each module stay at any age. @defaultValue 1 */
  readonly keep: number | null;
  /** How long other versions stay; where only `keep` is set, not at all. */
  readonly maxAgeMs: number | null;
  /** How long other versions without a tag stay in a module that has tags. @defaultValue as `maxAgeMs` */
  readonly untaggedMs: number | null;
  /** Retention per module, by its name. */
  readonly modules?: Readonly<Record<string, ImageRetention>>;
}

/** As options and requests write it; durations in milliseconds. */
export interface WrittenRetention {
  readonly keep?: number | undefined;
  readonly maxAge?: number | undefined;
  readonly untagged?: number | undefined;
  readonly modules?: Readonly<Record<string, WrittenRetention>>;
}

export function imageRetention({ keep, maxAge, untagged, modules }: WrittenRetention): ImageRetention {
  const farmWide = { keep: keep ?? null, maxAgeMs: maxAge ?? null, untaggedMs: untagged ?? null };
  if (!modules) return farmWide;
  const own = Object.entries(modules).map(([module, written]) => [module, imageRetention(written)]);
  return { ...farmWide, modules: Object.fromEntries(own) };
}

/** Body of `POST /prune`; durations such as `30d`. Absent fields have the configured values. */
export const pruneRequestSchema = z.strictObject({
  keep: z.int().min(1).optional().describe('Newest versions of each module to keep at any age.'),
  maxAge: ageOrZeroSchema.optional().describe('How long to keep other versions, such as `30d`.'),
  untagged: ageOrZeroSchema.optional().describe('The same for versions without a tag of modules that have tags.'),
  dryRun: z.boolean().default(false).describe('Only report the images that would be removed.'),
});

/** An image that goes, or went. */
export const removedImageSchema = imageNameSchema.extend({ cluster: z.string(), sizeBytes: z.int() });

export const prunedSchema = z.object({ dryRun: z.boolean(), images: z.array(removedImageSchema) });

/** As `parseImageReference` reads it. */
export function formatImageReference({ module, version, tag }: ImageReference): string {
  if (version !== null) return `${module}:${version}`;
  return tag === null ? module : `${module}@${tag}`;
}

/** By layerKey. */
export function groupByLayer<T extends { readonly layerKey: string }>(things: Iterable<T>): ReadonlyMap<string, T[]> {
  return groupBy(things, ({ layerKey }) => layerKey);
}

/** By the name of the module. */
export function groupByModule<T extends { readonly module: string }>(things: Iterable<T>): ReadonlyMap<string, T[]> {
  return groupBy(things, ({ module }) => module);
}

function groupBy<T>(things: Iterable<T>, keyOf: (thing: T) => string): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const thing of things) {
    const group = groups.get(keyOf(thing));
    if (group) group.push(thing);
    else groups.set(keyOf(thing), [thing]);
  }
  return groups;
}

export type ImageName = z.infer<typeof imageNameSchema>;
export type ImageTag = z.infer<typeof imageTagSchema>;
export type LayerNames = z.infer<typeof layerNamesSchema>;
export type ImageView = z.infer<typeof imageViewSchema>;
export type RemovedImage = z.infer<typeof removedImageSchema>;
