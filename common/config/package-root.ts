import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Absolute path inside the package, for data that is not compiled (Lua scripts, schemas): the same from the sources and
 * from `dist`.
 */
export function packagePath(...parts: string[]): string {
  return join(packageRoot, ...parts);
}

const packageRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}
