import { z } from 'zod';

const shareSchema = z.object({
  /** Volumes, or snapshots of them. */
  count: z.int(),
  /** As large as they were asked for; storage that is thin, or shares what is the same, uses less. */
  bytes: z.int(),
});

/** A source that builds of a cluster share: an image or ISO that was imported once. */
const sharedSourceSchema = z.object({
  /** Of its volume. */
  name: z.string(),
  /** Its URL, or the reference of its container image; null: no build has used it since the farm knows it. */
  what: z.string().nullable(),
  bytes: z.int(),
  /** ISO 8601, when a build last began or ended to use it; null: unknown. */
  usedAt: z.string().nullable(),
  /** ISO 8601, when it is removed (`isoCacheTTL` after its last use); null: builds that have not ended use it, or it is not known. */
  removedAt: z.string().nullable(),
});

/** What a cluster has for new volumes. */
export const storageRoomSchema = z.object({
  /** What its driver says (CSIStorageCapacity). */
  freeBytes: z.int(),
  /** With less than this, nothing more is built there. */
  leastBytes: z.int(),
});
export type StorageRoom = z.infer<typeof storageRoomSchema>;

/** What the farm has of the storage of a cluster. */
export const clusterStorageSchema = z.object({
  cluster: z.string(),
  /** Why the values are unknown; null: the fields below are valid. */
  error: z.string().nullable(),
  /** Snapshots that are layers. */
  images: shareSchema,
  /** Sources that builds share. */
  sources: shareSchema.extend({ each: z.array(sharedSourceSchema) }),
  /** Disks of builds, and of clones, that have not ended. */
  working: shareSchema,
  /** Disks of modules that have failed, until `retention.failure`, and what is about to be removed. */
  failed: shareSchema,
  /** What the cluster says that new volumes may have (CSIStorageCapacity); null: its driver does not say. */
  freeBytes: z.int().nullable(),
});

/** The answer to `GET /storage`. */
export const storageViewSchema = z.object({
  clusters: z.array(clusterStorageSchema),
  /** Records, events and logs, in Redis. `limitBytes`: what it may have. */
  records: z.object({ usedBytes: z.int(), limitBytes: z.int() }),
});

export type SharedSource = z.infer<typeof sharedSourceSchema>;
export type ClusterStorage = z.infer<typeof clusterStorageSchema>;
