import type { StorageRoom } from '../contracts/storage.ts';
import { sizeText } from './size-text.ts';

/** Why a cluster takes no more builds: half a sentence; null while it has room, or does not say what it has. */
export function fullStorage(room: StorageRoom | null): string | null {
  if (room === null || room.freeBytes >= room.leastBytes) return null;
  const { freeBytes, leastBytes } = room;
  const missing = sizeText(leastBytes - freeBytes);
  return `its storage is full: ${sizeText(freeBytes)} free, a build needs ${sizeText(leastBytes)} (${missing} more)`;
}
