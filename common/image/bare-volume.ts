import { findMark, type Mark } from './marks.ts';

/** What begins a disk without a partition table, by marks of its first 64 KiB. */
const VOLUMES: readonly Mark[] = [
  { offset: 0, hex: '58465342', what: 'an XFS file system' },
  { offset: 1080, hex: '53ef', what: 'an ext2, ext3 or ext4 file system' },
  { offset: 1024, hex: '1020f5f2', what: 'an F2FS file system' },
  { offset: 1024, hex: 'e2e1f5e0', what: 'an EROFS file system' },
  { offset: 3, hex: '4e54465320202020', what: 'an NTFS file system' },
  { offset: 3, hex: '4558464154202020', what: 'an exFAT file system' },
  { offset: 54, hex: '464154', what: 'a FAT file system' },
  { offset: 82, hex: '464154', what: 'a FAT file system' },
  { offset: 4086, hex: '53574150535041434532', what: 'swap space' },
  // LVM puts its label into one of the first four sectors.
  ...[0, 512, 1024, 1536].map((offset) => ({ offset, hex: '4c4142454c4f4e45', what: 'a physical volume of LVM' })),
];

/** The volume that a raw disk consists of; undefined for one with partitions, and for what is not known. */
export function bareVolume(head: Buffer): string | undefined {
  return findMark(head, VOLUMES);
}
