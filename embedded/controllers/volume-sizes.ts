import { fieldAt, type KubeObject } from '../api/objects.ts';
import { requestedBytes } from './volume-claims.ts';

/** CDI's default for the share of a volume that its file system takes. */
const OVERHEAD = 0.06;
const ALIGNMENT = 1024 ** 2;
const SECTOR = 512;

/** Bytes of the claim that CDI makes for a DataVolume whose `storage` asks for some. */
export function inflatedBytes(askedBytes: number, volumeMode: unknown): number {
  if (volumeMode === 'Block') return askedBytes;
  return Math.ceil(Math.ceil(askedBytes / ALIGNMENT) * ALIGNMENT * (1 + OVERHEAD));
}

/** Bytes of the disk that CDI writes into a claim: the size without the file system's share, in whole MiB. */
export function usableBytes(claim: KubeObject): number {
  const bytes = requestedBytes(claim);
  return isBlock(claim) ? diskBytes(claim) : wholeMiB(Math.ceil(bytes / (1 + OVERHEAD)));
}

/** Bytes that KubeVirt grows a smaller disk to (`ExpandDisks`): a little less, because it reckons the other way round. */
export function expandedBytes(claim: KubeObject): number {
  const bytes = requestedBytes(claim);
  return isBlock(claim) ? diskBytes(claim) : wholeMiB((1 - OVERHEAD) * bytes);
}

/** Bytes of a disk that is as large as its claim, in whole sectors. */
export function diskBytes(claim: KubeObject): number {
  return Math.ceil(requestedBytes(claim) / SECTOR) * SECTOR;
}

function isBlock(claim: KubeObject): boolean {
  return fieldAt(claim.spec, 'volumeMode') === 'Block';
}

function wholeMiB(bytes: number): number {
  return Math.floor(bytes / ALIGNMENT) * ALIGNMENT;
}
