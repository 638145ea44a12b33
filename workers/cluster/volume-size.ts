import type { Credentials } from '../../common/contracts/module/location.ts';
import type { DataVolume, PersistentVolumeClaim, VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { parseQuantity } from '../../common/text/quantity.ts';

/** Source of a volume. */
export interface Filling {
  readonly source: NonNullable<DataVolume['spec']['source']>;
  /** Size of its content, as a guest sees it; 0 when it is empty or unknown. */
  readonly contentBytes: number;
  /** Given for clones, which need not ask for a size. */
  readonly clone?: CloneSource;
  /** How its importer is let in, where it has one; sealed. */
  readonly credentials?: Credentials | null;
  /** Name of its content for readers. */
  readonly what?: string;
}

/** Bytes that the driver gives to a volume made from a snapshot (0 when not reported), or the claim to clone from. */
export type CloneSource = { readonly kind: 'snapshot'; readonly restoreBytes: number } | { readonly kind: 'claim' };

/** CDI takes no smaller volume. */
const LEAST_BYTES = 1024 ** 2;
/** The share that CDI adds for the file system of a volume, unless its CDIConfig overrides it. */
const OVERHEAD = 0.06;

/**
 * Bytes that a volume asks for; undefined for a clone that is to be as large as its source. CDI adds the file system's
 * share to all that is asked for, and a snapshot is as large as its volume with that share: a clone that asked for it
 * would grow with every generation, and cost an expansion, or a copy over the network where the class has none.
 */
export function askedOf({ clone, contentBytes }: Filling, requestedBytes: number | null): number | undefined {
  const bytes = Math.max(requestedBytes ?? 0, contentBytes);
  if (!clone) return Math.max(bytes, LEAST_BYTES);
  const grows = requestedBytes !== null && requestedBytes > contentBytes;
  if (clone.kind === 'claim') return grows ? bytes : undefined;
  // Without a size of the snapshot CDI needs an explicit one; with it, CDI refuses a smaller size, before it adds its share.
  return grows || clone.restoreBytes === 0 ? Math.max(bytes, clone.restoreBytes) : undefined;
}

/** Bytes of a volume made from a snapshot; 0 when the driver does not report it. */
export function restoreBytes({ status }: VolumeSnapshot): number {
  return Math.ceil(parseQuantity(status?.restoreSize) ?? 0);
}

/** Bytes that a guest sees of a claim: on a file system the disk is a file, and CDI leaves room beside it. */
export function guestBytes({ spec }: PersistentVolumeClaim): number {
  const held = Math.ceil(parseQuantity(spec?.resources?.requests?.['storage']) ?? 0);
  if (spec?.volumeMode === 'Block') return held;
  return Math.floor(Math.ceil(held / (1 + OVERHEAD)) / LEAST_BYTES) * LEAST_BYTES;
}
