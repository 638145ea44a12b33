import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk of its own, which other things of this machine do not fill. */
export interface SmallDisk {
  /** A directory on it. */
  readonly path: string;
  /** Fills it, until ordinary users have so many bytes left; `undefined` frees all of that. Root has its reserve besides. */
  leave(bytes: number | undefined): void;
  close(): void;
}

/** An ext4 file system in a sparse file. */
export function openSmallDisk(bytes: number): SmallDisk {
  return openDisk((folder, mount) => {
    const image = join(folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, bytes);
    execFileSync('mkfs.ext4', ['-q', image]);
    execFileSync('mount', ['-o', 'loop', image, mount]);
  });
}

/** A file system in memory, in which root has no reserve either. */
export function openTemporaryDisk(bytes: number): SmallDisk {
  return openDisk((_, mount) => execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'slipway', mount]));
}

function openDisk(mountAt: (folder: string, mount: string) => void): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-disk-'));
  const mount = join(folder, 'disk');
  mkdirSync(mount);
  mountAt(folder, mount);
  const [path, filler] = [join(mount, 'data'), join(mount, 'filler')];
  mkdirSync(path);
  return {
    path,
    leave: (left) => {
      rmSync(filler, { force: true });
      if (left === undefined) return;
      const { bavail, bsize } = statfsSync(mount);
      execFileSync('fallocate', ['-l', `${bavail * bsize - left}`, filler]);
    },
    close: () => {
      execFileSync('umount', [mount]);
      rmSync(folder, { recursive: true });
    },
  };
}
