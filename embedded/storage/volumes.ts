import { chmod, chown, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { allocatedBytes, isSameFile, isThere } from '../host/file-facts.ts';
import { KeyedMutex } from '../host/keyed-mutex.ts';
import type { HostLayout } from '../host/layout.ts';
import { findRow, freezeMode, LONGEST_CHAIN, layersBelow, mergeRow, readChains } from './layer-chains.ts';
import { readQcow2Header, writeEmptyQcow2 } from './qcow2.ts';

/** Replaces the file that a running machine writes to; resolves when it writes to the overlay. */
export type SwitchToOverlay = (overlayPath: string) => Promise<void>;

/** Owner of a disk. */
export interface Loan {
  readonly user: number | undefined;
  readonly mayWrite: boolean;
}

/** How to switch the machine that has the disk open; undefined when none has. */
export type FindMachine = () => SwitchToOverlay | undefined;

/**
 * Disks and frozen layers as qcow2 files. A volume is one writable file; freezing it makes that very file an immutable
 * layer and puts an empty overlay in its place; a clone is another overlay on the layer. Everything that changes who
 * is based on which runs one at a time, and each step leaves a valid disk behind if the process dies right after it.
 */
export class VolumeFiles {
  readonly #layout: HostLayout;
  readonly #mutex = new KeyedMutex();
  /** Files of the longest chain, when it was last looked at. */
  #longest = 0;

  constructor(layout: HostLayout) {
    this.#layout = layout;
  }

  /** The directory of a volume; an import works in it before the disk exists. */
  directory(volume: string): string {
    return join(this.#layout.volumes, volume);
  }

  /** The disk of a volume. */
  disk(volume: string): string {
    return join(this.directory(volume), 'disk.qcow2');
  }

  /** Whether the volume has its content; an import or clone in progress does not count. */
  async exists(volume: string): Promise<boolean> {
    return await isThere(this.disk(volume));
  }

  async hasLayer(layer: string): Promise<boolean> {
    return await isThere(this.#layer(layer));
  }

  /** Bytes that the guest sees. */
  async virtualSize(volume: string): Promise<number> {
    return (await readQcow2Header(this.disk(volume)))?.virtualSizeBytes ?? 0;
  }

  /** An empty disk, unless there is one already. */
  async createBlank(volume: string, sizeBytes: number): Promise<void> {
    if (!(await this.exists(volume))) await this.#place(volume, { virtualSizeBytes: sizeBytes });
  }

  /**
   * A disk with the content of a layer, at least as large as it. No effect when the disk exists.
   * @throws FarmError `NotFound` when the layer is gone
   */
  async cloneLayer(volume: string, layer: string, sizeBytes: number): Promise<void> {
    await this.#mutex.run('structure', async () => {
      if (await this.exists(volume)) return;
      await this.#overlay(volume, layer, sizeBytes);
    });
  }

  /**
   * A disk with the present content of another volume, by way of a layer that both are based on afterwards.
   * `live` throws when a machine has the source open.
   */
  async cloneVolume(volume: string, source: { volume: string; live: FindMachine }, sizeBytes: number): Promise<void> {
    await this.#mutex.run('structure', async () => {
      if (await this.exists(volume)) return;
      await this.#freeze(source.volume, volume, source.live);
      await this.#overlay(volume, volume, sizeBytes);
    });
  }

  /**
   * Makes the present content of a volume the layer `layer`. `live` is asked, once no other change is under way, how to
   * switch the machine that has the disk open; it throws when the freeze must wait. May be called again after a crash at
   * any point.
   */
  async freeze(volume: string, layer: string, live?: FindMachine): Promise<void> {
    await this.#mutex.run('structure', async () => await this.#freeze(volume, layer, live));
  }

  /**
   * Lets a user read the disk of a volume, and write to it: as the group of the file, so that the user cannot replace it.
   * No effect where machines have no user of their own. Returns the layers below.
   */
  async lend(volume: string, { user, mayWrite }: Loan): Promise<string[]> {
    return await this.#mutex.run('structure', async () => {
      const layers = await layersBelow(this.disk(volume), this.#layout.layers);
      if (user === undefined) return layers;
      for (const path of [this.disk(volume), this.#pending(volume)]) {
        if (!(await isThere(path))) continue;
        await chown(path, 0, mayWrite ? user : 0);
        await chmod(path, mayWrite ? 0o660 : 0o644);
      }
      for (const layer of layers) await freezeMode(layer);
      return layers;
    });
  }

  /**
   * The layers that the disk of a volume is based on, the nearest first. Guests that took over QEMU write to disks
   * as they like, so only a layer of ours is accepted.
   * @throws FarmError `BrokenInvariant` when the disk names another file
   */
  async layersBelow(volume: string): Promise<string[]> {
    return await layersBelow(this.disk(volume), this.#layout.layers);
  }

  /** What a layer takes on this disk by itself, and with all that it is based on. */
  async layerSizes(layer: string): Promise<{ readonly ownBytes: number; readonly usedBytes: number }> {
    const path = this.#layer(layer);
    const [ownBytes = 0, ...below] = await Promise.all(
      [path, ...(await layersBelow(path, this.#layout.layers))].map(allocatedBytes),
    );
    return { ownBytes, usedBytes: below.reduce((sum, bytes) => sum + bytes, ownBytes) };
  }

  /** Removes a volume; unused layers are removed by the next `collectLayers`. */
  async remove(volume: string): Promise<void> {
    await this.#mutex.run('structure', () => rm(this.directory(volume), { recursive: true, force: true }));
  }

  /** Volumes on disk, whether finished or not. */
  async volumes(): Promise<string[]> {
    return await readdir(this.#layout.volumes).catch(() => []);
  }

  /**
   * Removes the layers that are neither in `referenced` nor below a volume or a referenced layer. Asked of the files
   * themselves, so that the list of needed files is always right.
   */
  async collectLayers(referenced: () => ReadonlySet<string>): Promise<string[]> {
    return await this.#mutex.run('structure', async () => {
      const chains = await this.#chains(referenced());
      this.#longest = Math.max(0, ...chains.map(({ length }) => length));
      const needed = new Set(chains.flat());
      const present = await readdir(this.#layout.layers).catch(() => []);
      const superfluous = present.filter((file) => !needed.has(join(this.#layout.layers, file)));
      for (const file of superfluous) await rm(join(this.#layout.layers, file), { force: true });
      return superfluous;
    });
  }

  /**
   * Shortens the long chains that the last `collectLayers` has found: layers in a row that are not in `referenced`, and on each of
   * which nothing stands but the next one, become part of the layer above them. What several are based on is not copied.
   * The layers that were taken in go with the next `collectLayers`.
   */
  async flatten(referenced: () => ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    await this.#mutex.run('flatten', async () => {
      while (this.#longest > LONGEST_CHAIN) {
        const kept = referenced();
        const chains = await this.#mutex.run('structure', () => this.#chains(kept));
        const row = findRow(chains, new Set([...kept].map((layer) => this.#layer(layer))));
        if (!row) return;
        const merged = await mergeRow(row, signal);
        await this.#mutex.run('structure', async () => {
          // Machines that run on the old file keep it open.
          if (await isThere(row.into)) await rename(merged, row.into);
          else await rm(merged);
        });
      }
    });
  }

  #layer(layer: string): string {
    return join(this.#layout.layers, `${layer}.qcow2`);
  }

  /** The overlay that a running machine is being switched to, until it takes the place of the disk. */
  #pending(volume: string): string {
    return join(this.directory(volume), 'overlay.qcow2');
  }

  async #overlay(volume: string, layer: string, sizeBytes: number): Promise<void> {
    const below = await readQcow2Header(this.#layer(layer)).catch(() => undefined);
    if (!below) throw new FarmError('NotFound', `The layer "${layer}" is gone`);
    const virtualSizeBytes = Math.max(sizeBytes, below.virtualSizeBytes);
    await this.#place(volume, { virtualSizeBytes, backingFile: this.#fromVolume(volume, layer) });
  }

  async #place(volume: string, image: Parameters<typeof writeEmptyQcow2>[1]): Promise<void> {
    await mkdir(this.directory(volume), { recursive: true });
    const temporary = join(this.directory(volume), 'new.qcow2');
    await writeEmptyQcow2(temporary, image);
    await rename(temporary, this.disk(volume));
  }

  #fromVolume(volume: string, layer: string): string {
    return relative(this.directory(volume), this.#layer(layer));
  }

  /**
   * Order: hard link as layer, complete overlay, switch, rename. Until the rename the disk and the layer are the same
   * file, which is how a repetition knows where it was; an overlay that exists then may already hold the guest's
   * writes and is therefore never recreated.
   */
  async #freeze(volume: string, layer: string, live?: FindMachine): Promise<void> {
    const disk = this.disk(volume);
    const frozen = this.#layer(layer);
    live?.();
    await mkdir(this.#layout.layers, { recursive: true });
    if (!(await isThere(frozen))) {
      await this.#finishPending(volume, live?.());
      await link(disk, frozen);
    }
    if (!(await isSameFile(disk, frozen))) return;
    const overlay = this.#pending(volume);
    if (!(await isThere(overlay))) {
      const virtualSizeBytes = (await readQcow2Header(frozen))?.virtualSizeBytes ?? 0;
      const temporary = join(this.directory(volume), 'new.qcow2');
      await writeEmptyQcow2(temporary, { virtualSizeBytes, backingFile: this.#fromVolume(volume, layer) });
      const { uid, gid, mode } = await stat(disk);
      await chown(temporary, uid, gid);
      await chmod(temporary, mode);
      await rename(temporary, overlay);
    }
    await live?.()?.(overlay);
    await rename(overlay, disk);
    await freezeMode(frozen);
  }

  /** An overlay left by a freeze that was cut off, whose snapshot has been given up since. */
  async #finishPending(volume: string, live: SwitchToOverlay | undefined): Promise<void> {
    const overlay = this.#pending(volume);
    if (!(await isThere(overlay))) return;
    await live?.(overlay);
    await rename(overlay, this.disk(volume));
  }

  /** Resolves when no change of the structure is under way that began before. */
  async settled(): Promise<void> {
    await this.#mutex.run('structure', async () => {});
  }

  async #chains(referenced: ReadonlySet<string>): Promise<string[][]> {
    const volumes = (await this.volumes()).flatMap((volume) => [this.disk(volume), this.#pending(volume)]);
    return await readChains([...[...referenced].map((layer) => this.#layer(layer)), ...volumes], this.#layout.layers);
  }
}
