import { sizeText } from '../text/size-text.ts';
import type { StorageRoom } from './storage.ts';

/** Reason why a cluster takes no more builds: a clause; null while it has room, or does not report its storage. */
export function fullStorage(room: StorageRoom | null): string | null {
  if (room === null || room.freeBytes >= room.leastBytes) return null;
  const { freeBytes, leastBytes } = room;
  const missing = sizeText(leastBytes - freeBytes);
  return `its storage is full: ${sizeText(freeBytes)} free, a build needs ${sizeText(leastBytes)} (${missing} more)`;
}
