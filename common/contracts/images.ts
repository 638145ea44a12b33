import { z } from 'zod';
import { layerRecordSchema } from './layers.ts';

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

/** A name that somebody gave to a version and may give to another one. */
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

/** What the snapshots of a layer carry beside its record. */
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
  /** The layers that it was started from, as far as they are there, by their newest names. */
  standsOn: z.array(relativeSchema),
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

/** What `base`, `base:3` and `base@stable` name: the newest version, that one, and the one that has the tag. */
export interface ImageReference {
  readonly module: string;
  readonly version: number | null;
  readonly tag: string | null;
}

/** Null when it is no reference. */
export function parseImageReference(text: string): ImageReference | null {
  const [, module = '', version, tag] = /^([^:@]+)(?::([1-9]\d{0,8})|@(.+))?$/.exec(text) ?? [];
  if (module === '' || (tag !== undefined && !TAG.test(tag))) return null;
  return { module, version: version === undefined ? null : Number(version), tag: tag ?? null };
}

/** As `parseImageReference` reads it. */
export function formatImageReference({ module, version, tag }: ImageReference): string {
  if (version !== null) return `${module}:${version}`;
  return tag === null ? module : `${module}@${tag}`;
}

/** By layerKey. */
export function groupByLayer<T extends { readonly layerKey: string }>(things: Iterable<T>): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const thing of things) {
    const group = groups.get(thing.layerKey);
    if (group) group.push(thing);
    else groups.set(thing.layerKey, [thing]);
  }
  return groups;
}

export type ImageName = z.infer<typeof imageNameSchema>;
export type ImageTag = z.infer<typeof imageTagSchema>;
export type LayerNames = z.infer<typeof layerNamesSchema>;
export type ImageView = z.infer<typeof imageViewSchema>;
export type TagView = z.infer<typeof tagViewSchema>;
