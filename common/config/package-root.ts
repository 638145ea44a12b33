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

/** Command line of a compiled program of Slipway, by the path of its entry without extension: `scheduler/main`. */
export function programCommand(entry: string): [node: string, file: string] {
  return [process.execPath, packagePath('dist', `${entry}.js`)];
}

/**
 * The same for a program that passes disks on. Its pieces (MiB of them) are garbage before they are promoted: with the young
 * generation of V8 as it is, 1 MiB, each few MiB of a disk cost a look at the whole heap. The chart starts its programs so, too.
 */
export function streamingCommand(entry: string): [node: string, ...string[]] {
  const [node, file] = programCommand(entry);
  return [node, '--min-semi-space-size=16', file];
}

const packageRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}
