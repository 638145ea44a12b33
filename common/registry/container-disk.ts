import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { LayerContent } from './push-image.ts';

/** User and group `qemu` of KubeVirt's launcher, which reads the disk where it lies. */
const QEMU = { uid: 107, gid: 107 };
/** Always the same, so that one disk is one layer. */
const EPOCH = new Date(0);

/**
 * The layer of a containerDisk of KubeVirt: a tar that holds the file as `disk/<name>`, for QEMU's user. Reads the file once to
 * learn the digest of the tar.
 */
export async function containerDiskLayer(path: string, name: string): Promise<LayerContent> {
  const { size } = await stat(path);
  const open = () => tarOf(path, { name, size });
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of open() as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes, open };
}

function tarOf(path: string, { name, size }: { readonly name: string; readonly size: number }): Readable {
  const archive = pack();
  archive.entry({ name: 'disk/', type: 'directory', mode: 0o555, mtime: EPOCH, ...QEMU });
  const entry = archive.entry({ name: `disk/${name}`, size, mode: 0o440, mtime: EPOCH, ...QEMU });
  pipeline(createReadStream(path, { highWaterMark: 1024 ** 2 }), entry).then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  return archive as unknown as Readable;
}
