import { chmod, chown, mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { runCommand } from '../host/run-command.ts';
import { readQcow2Header } from './qcow2.ts';

/** QEMU opens every file of a chain, and looks for what was not written through all of them. */
export const LONGEST_CHAIN = 16;

/** Layers that can become one file: `into` takes in those below it, the nearest first. */
export interface LayerRow {
  readonly into: string;
  readonly taken: readonly string[];
}

/**
 * What is there of disks and layers, each with the layers that it is based on, the nearest first. Layers are files of one directory.
 */
export async function readChains(tops: readonly string[], layers: string): Promise<string[][]> {
  const read = new Map<string, Promise<Below>>();
  const belowOf = (file: string) => {
    const found = read.get(file) ?? nextBelow(file, layers);
    read.set(file, found);
    return found;
  };
  const chains: string[][] = [];
  for (const top of tops) {
    const chain: string[] = [];
    for (let file: string | null = top; file !== null && !chain.includes(file); ) {
      const below: Below = await belowOf(file);
      if (below === 'missing') break;
      chain.push(file);
      file = below.layer;
    }
    chains.push(chain);
  }
  return chains;
}

/**
 * The layers that a disk or layer is based on, the nearest first; all of them are files of the directory `layers`.
 * @throws FarmError `BrokenInvariant` when one names another file
 */
export async function layersBelow(path: string, layers: string): Promise<string[]> {
  const below: string[] = [];
  for (let file = path; ; ) {
    const header = await readQcow2Header(file);
    const { backingFile, hasExternalData } = header ?? {};
    const layer = backingFile === undefined ? undefined : resolve(dirname(file), backingFile);
    const isOurs = layer === undefined || (dirname(layer) === layers && !below.includes(layer));
    if (!header || hasExternalData || !isOurs) {
      throw new FarmError(
        'BrokenInvariant',
        `The disk "${file}" has been tampered with: it is no longer a layer on layers`,
      );
    }
    if (layer === undefined) return below;
    below.push(layer);
    file = layer;
  }
}

type Below = 'missing' | { readonly layer: string | null };

async function nextBelow(path: string, layers: string): Promise<Below> {
  const header = await readQcow2Header(path).catch(() => undefined);
  if (!header) return 'missing';
  return { layer: header.backingFile === undefined ? null : join(layers, basename(header.backingFile)) };
}

/**
 * A row in one of the chains that are too long; undefined when there is none. `chains` begin with disks or layers, and go down by
 * what each is based on; of a layer in `referenced` the file itself is needed. A disk that machines write to takes nothing in.
 */
export function findRow(chains: readonly (readonly string[])[], referenced: ReadonlySet<string>): LayerRow | undefined {
  const above = new Map<string, Set<string>>();
  for (const chain of chains) {
    for (const [index, file] of chain.entries()) {
      const upper = chain[index - 1];
      if (upper !== undefined) above.set(file, (above.get(file) ?? new Set()).add(upper));
    }
  }
  const isTaken = (file: string) => !referenced.has(file) && above.get(file)?.size === 1;
  for (const chain of chains.filter(({ length }) => length > LONGEST_CHAIN)) {
    for (const [index, into] of chain.entries()) {
      const isLayer = referenced.has(into) || above.has(into);
      const below = chain.slice(index + 1);
      const end = below.findIndex((file) => !isTaken(file));
      const taken = end < 0 ? below : below.slice(0, end);
      if (isLayer && taken.length > 0) return { into, taken };
    }
  }
  return undefined;
}

/** Writes what a row becomes to a file beside the layers, and returns its path. Whatever a former try has left is replaced. */
export async function mergeRow({ into, taken }: LayerRow, signal: AbortSignal): Promise<string> {
  // As deep as the layers, for the relative paths in them.
  const merged = join(dirname(dirname(into)), 'merging', basename(into));
  await mkdir(dirname(merged), { recursive: true });
  await runCommand('cp', ['--reflink=auto', '--no-preserve=mode', '--remove-destination', into, merged], { signal });
  const { backingFile } = (await readQcow2Header(taken.at(-1) ?? into)) ?? {};
  const onto = backingFile === undefined ? ['-b', ''] : ['-F', 'qcow2', '-b', backingFile];
  await runCommand('qemu-img', ['rebase', '-q', '-f', 'qcow2', ...onto, merged], { signal });
  await freezeMode(merged);
  return merged;
}

/** No process writes to a layer, also not the one that had the disk. */
export async function freezeMode(layer: string): Promise<void> {
  if (process.getuid?.() === 0) await chown(layer, 0, 0);
  await chmod(layer, 0o444);
}
