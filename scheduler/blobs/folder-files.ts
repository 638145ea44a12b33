import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrorCode } from '../../common/errors/error-code.ts';

/** Undefined when there is no such file. */
export async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    (error: unknown) => {
      if (hasErrorCode(error, 'ENOENT')) return undefined;
      throw error;
    },
  );
}

/** Bytes of all files in a folder. */
export async function sumOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await sizeOf(join(folder, name))) ?? 0;
  return bytes;
}

/** Files that were last changed before a time. */
export async function namesBefore(folder: string, before: number): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(folder)) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found && found.mtimeMs < before) names.push(name);
  }
  return names;
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
