import { z } from 'zod';

const shareSchema = z.object({
  /** Volumes, or snapshots of them. */
  count: z.int(),
  /** Requested sizes; storage that is thin, or shares equal blocks, uses less. */
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

/** Storage of a cluster for new volumes. */
export const storageRoomSchema = z.object({
  /** As its driver reports it (CSIStorageCapacity). */
  freeBytes: z.int(),
  /** Below this, the cluster takes no more builds. */
  leastBytes: z.int(),
});
export type StorageRoom = z.infer<typeof storageRoomSchema>;

/** Storage of a cluster that the farm uses. */
export const clusterStorageSchema = z.object({
  cluster: z.string(),
  /** Why the values are unknown; null: the fields below are valid. */
  error: z.string().nullable(),
  /** Snapshots that are layers. */
  images: shareSchema,
  /** Sources that builds share. */
  sources: shareSchema.extend({ each: z.array(sharedSourceSchema) }),
  /** Disks of builds and clones that have not ended, of exports, and of builds that have just succeeded. */
  working: shareSchema,
  /** Disks of failed and cancelled modules, until `retention.failure`. */
  failed: shareSchema,
  /** Free storage for new volumes (CSIStorageCapacity); null: not reported by the driver. */
  freeBytes: z.int().nullable(),
});

/** The answer to `GET /storage`. */
export const storageViewSchema = z.object({
  clusters: z.array(clusterStorageSchema),
  /** Records, events and logs, in Redis. `limitBytes`: its limit. */
  records: z.object({ usedBytes: z.int(), limitBytes: z.int() }),
});

export type SharedSource = z.infer<typeof sharedSourceSchema>;
export type ClusterStorage = z.infer<typeof clusterStorageSchema>;
