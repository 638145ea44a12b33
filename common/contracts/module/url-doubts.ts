import type { Cursor } from './cursor.ts';
import { parseLocation } from './location.ts';
import type { Report } from './rule.ts';

/** Of a URL with such an end the content is seldom an image; its server may send one all the same. */
const OTHER_CONTENT: readonly (readonly [RegExp, string])[] = [
  [
    /\.ova$/i,
    'an OVA is a tar file of a description and disks: unpack it with `tar -xf`, convert the VMDK inside by `qemu-img convert -O qcow2`, and give that',
  ],
  [/\.box$/i, 'a box of Vagrant is an archive: unpack it with `tar -xzf`, and give the disk inside, such as box.img'],
  [
    /\.(zip|7z|rar|cab|cpio|tar|tgz|txz|tzst|tbz2?|tar\.(gz|xz|zst|bz2|lzma|z))$/i,
    'an archive is not unpacked: unpack it, and give the disk image inside',
  ],
  [/\.(bz2|lz4|lzma|lz|lzo|z|br)$/i, 'importers unpack only gzip, xz and zstd: pack it by one of these'],
  [/\.(ovf|vmx|vmsd|vbox)$/i, 'this describes a machine: give the disk that it names'],
  [/\.(wim|esd|swm)$/i, 'this holds the files of Windows, and not a disk: install from an ISO'],
  [
    /\.(squashfs|sqsh|snap)$/i,
    'this holds the packed files of a live system, and not a disk: give an image, or the ISO',
  ],
  [/\.(exe|msi|deb|rpm|apk|pkg|efi)$/i, 'this is a program, and not a disk image'],
  [/\.(dmg|qed|hdd|pvm)$/i, 'importers do not take this format: convert it by `qemu-img convert -O qcow2`'],
  [
    /\.(torrent|metalink|meta4|zsync|manifest|sha\d+(sum)?s?|md5(sum)?s?|asc|sig|gpg|sign)$|\/[a-z0-9]*sums$/i,
    'this belongs to an image and is none: give the image itself',
  ],
];

/** Addresses at which sites have a page about a file. */
const PAGES: readonly (readonly [RegExp, string])[] = [
  [/^https?:\/\/(drive|docs)\.google\.com\//i, 'Google Drive answers with a page'],
  [/^https?:\/\/(www\.)?dropbox\.com\/(?!.*[?&](dl|raw)=1)/i, 'Dropbox answers with a page: write dl=1 at its end'],
  [
    /^https?:\/\/github\.com\/[^/]+\/[^/]+\/(blob|tree)\//i,
    'GitHub answers with a page: take the address of "raw", or of a release',
  ],
  [/^https?:\/\/gitlab\.com\/.*\/-\/(blob|tree)\//i, 'GitLab answers with a page: write /-/raw/ in place of /-/blob/'],
  [
    /^https?:\/\/(www\.)?(mega\.nz|1drv\.ms|onedrive\.live\.com|wetransfer\.com|we\.tl)\//i,
    'this site answers with a page',
  ],
  [/^https?:\/\/sourceforge\.net\/(?!.*\/download)/i, 'SourceForge answers with a page: write /download at its end'],
];

/** Warns of what the URL of a source or an ISO shows: only the import sees the content. */
export function reportUrlDoubts(holder: Cursor, use: 'disk' | 'iso', report: Report): void {
  const url = holder.at('url');
  const text = url.text ?? '';
  if (!('value' in parseLocation(text))) return;
  // Tools with go-getter take it out of the URL and compare it; here the server gets it.
  if (!holder.at('checksum').isPresent && /[?&]checksum=|#(md5|sha\d+)[=:]/i.test(text)) {
    report(url, 'Doubtful', 'a checksum in a URL is not compared: write it under checksum', 'warning');
  }
  const [path = ''] = text.split(/[?#]/);
  const [, page] = PAGES.find(([pattern]) => pattern.test(text)) ?? [];
  const [, hint] = OTHER_CONTENT.find(([pattern]) => pattern.test(path)) ?? [];
  const doubt = page === undefined ? (hint ?? misplaced(path, use)) : `${page}; give the address of the file itself`;
  if (doubt !== undefined) report(url, 'Doubtful', doubt, 'warning');
}

function misplaced(path: string, use: 'disk' | 'iso'): string | undefined {
  if (/^https?:\/\/[^/]+\/.*\/$/i.test(path)) return 'this names a folder: give the address of the file in it';
  if (use === 'disk' && /\.iso$/i.test(path)) {
    return 'a system is installed from an ISO: list it under isos, with source: { blank: true }';
  }
  return use === 'iso' && /\.(qcow2?|vmdk|vdi|vhdx?)$/i.test(path)
    ? 'this is the name of a disk image: give it as source: { url: … }'
    : undefined;
}
