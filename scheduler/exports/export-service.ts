import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../common/clock/clock.ts';
import { EXPORT_FORMATS, type ExportView, exportViewSchema } from '../../common/contracts/exports.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { atMost } from '../../common/lifecycle/at-most.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { ExportCluster } from './disk-reading.ts';
import { withExportedDisk } from './exported-disk.ts';
import { makeFileInThread } from './file-thread.ts';

/** Disks that are read and converted at once. */
const CONCURRENCY = 2;
/** Unfinished exports of one token. */
const MOST_OF_A_TOKEN = 16;
/** A question whether something has changed is answered after this long at the latest. */
const CHANGE_MS = 15_000;
/** Progress within a state is answered after this long at the earliest: each answer costs both sides some milliseconds. */
const PACE_MS = 1_000;

const orderSchema = z.object({
  module: z.string(),
  version: z.int(),
  vm: z.string(),
  disk: z.string(),
  format: z.enum(EXPORT_FORMATS),
  cluster: z.string(),
  snapshot: z.string(),
  /** Whether the image has other disks: then the file name distinguishes them. */
  isOneOfSeveral: z.boolean(),
});

/** A disk that is to become a file. */
export type ExportOrder = z.infer<typeof orderSchema>;

const doneSchema = exportViewSchema.pick({ sizeBytes: true, sha256: true });

/** Dependencies of the service. */
export interface ExportServiceOptions {
  /** Shared by all schedulers of the farm. */
  readonly directory: string;
  clusterOf(name: string): ExportCluster | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Filling {
  readonly cluster: ExportCluster;
  readonly order: ExportOrder;
  readonly progress: Progress;
  /** Where the file is written. */
  readonly content: string;
}

interface Moving {
  until(): boolean;
  readonly signal: AbortSignal;
}

interface Progress {
  readonly by: string;
  state: ExportView['state'];
  percent: number;
  error: ExportView['error'];
  readonly listeners: Set<() => void>;
}

/**
 * Disks of images as files, each in a folder named by the hash of its request, so that a repeated request makes one:
 *
 *   <id>/order.json   the request
 *   <id>/done.json    size and hash of the file, which is whole then
 *   <id>/<sha256>     the file
 *
 * A scheduler that dies leaves an order; the next scheduler that is asked for it begins it again.
 */
export class ExportService {
  readonly #options: ExportServiceOptions;
  readonly #running = new Map<string, Progress>();
  readonly #limited = atMost(CONCURRENCY);
  readonly #stop = new AbortController();

  constructor(options: ExportServiceOptions) {
    this.#options = options;
  }

  /** Begins an export, unless it is under way or there. @throws TooManyRequests */
  async start(order: ExportOrder, by: string): Promise<ExportView> {
    const id = idOf(order);
    if (this.#running.get(id)?.state === 'failed') this.#running.delete(id);
    const folder = join(this.#options.directory, id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeWhole(join(folder, 'order.json'), JSON.stringify(order));
    return this.view(id, by);
  }

  /** State of an export; continues one that another process left unfinished. @throws NotFound, TooManyRequests */
  async view(id: string, by: string): Promise<ExportView> {
    const order = await this.#read(id, 'order.json', orderSchema);
    if (!order) throw missing(`Export ${id} not found: it was removed, or never requested.`);
    const { module, version, vm, disk, format } = order;
    const described = { id, module, version, vm, disk, format, fileName: fileNameOf(order) };
    const done = await this.#read(id, 'done.json', doneSchema);
    if (done) {
      this.#running.delete(id);
      await this.#touch(id);
      return { ...described, ...done, state: 'ready', percent: 100, error: null };
    }
    const { state, percent, error } = this.#running.get(id) ?? this.#begin(id, order, by);
    return { ...described, state, percent, error, sizeBytes: null, sha256: null };
  }

  /** Resolves when an export that is under way has another state or percent, at the latest after some seconds. */
  async changed(id: string, signal: AbortSignal): Promise<void> {
    const progress = this.#running.get(id);
    if (!progress || progress.state === 'failed') return;
    const { state, percent } = progress;
    const either = anySignal(signal, this.#stop.signal);
    await this.#moved(progress, PACE_MS, { until: () => progress.state !== state, signal: either });
    const until = () => progress.state !== state || progress.percent !== percent;
    if (!until()) await this.#moved(progress, CHANGE_MS, { until, signal: either });
  }

  /** Resolves when `until` holds, or the time is over. */
  async #moved(progress: Progress, ms: number, { until, signal }: Moving): Promise<void> {
    const over = new AbortController();
    const listener = () => until() && over.abort();
    progress.listeners.add(listener);
    const either = anySignal(signal, over.signal);
    await this.#options.clock.after(ms, either).catch(() => undefined);
    progress.listeners.delete(listener);
  }

  /** Path of the file of an export that is ready. @throws NotFound */
  async content(id: string): Promise<string> {
    const done = await this.#read(id, 'done.json', doneSchema);
    if (!done?.sha256) throw missing(`The export ${id} is not ready, or was removed.`);
    await this.#touch(id);
    return join(this.#options.directory, id, done.sha256);
  }

  /** Removes exports that were not asked for since `before` (ms since the Unix epoch). */
  async sweep(before: number): Promise<void> {
    for (const id of await readdir(this.#options.directory).catch(() => [])) {
      const folder = join(this.#options.directory, id);
      const used = await stat(join(folder, 'order.json')).catch(() => null);
      if (this.#isUnderWay(id) || (used && used.mtimeMs >= before)) continue;
      this.#running.delete(id);
      await rm(folder, { recursive: true, force: true });
    }
  }

  close(): void {
    this.#stop.abort(new Error('The scheduler stops.'));
  }

  #isUnderWay(id: string): boolean {
    const state = this.#running.get(id)?.state;
    return state !== undefined && state !== 'failed';
  }

  #begin(id: string, order: ExportOrder, by: string): Progress {
    const own = [...this.#running.values()].filter((other) => other.by === by && other.state !== 'failed').length;
    if (own >= MOST_OF_A_TOKEN) {
      throw new FarmError(
        'TooManyRequests',
        `The token "${by}" already has ${own} exports in progress, the limit of one token.`,
        { details: { solve: 'Wait until one of them has ended, then try again.' } },
      );
    }
    const progress: Progress = { by, state: 'waiting', percent: 0, error: null, listeners: new Set() };
    this.#running.set(id, progress);
    const { logger } = this.#options;
    this.#limited(() => this.#make(id, order, progress)).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) logger.warn({ err: error, snapshot: order.snapshot }, 'An export failed');
      const code = error instanceof FarmError ? error.code : 'BrokenInvariant';
      move(progress, { state: 'failed', percent: 0, error: { code, message: errorMessage(error) } });
    });
    return progress;
  }

  async #make(id: string, order: ExportOrder, progress: Progress): Promise<void> {
    const { clusterOf, directory } = this.#options;
    const cluster = clusterOf(order.cluster);
    if (!cluster) throw new FarmError('NotFound', `The cluster "${order.cluster}" is no longer configured.`);
    const folder = join(directory, id);
    // Another scheduler may be at the same.
    const own = randomBytes(6).toString('hex');
    const content = join(folder, `content.${own}`);
    try {
      const sha256 = await this.#fill({ cluster, order, progress, content });
      const { size: sizeBytes } = await stat(content);
      await rename(content, join(folder, sha256));
      await writeWhole(join(folder, 'done.json'), JSON.stringify({ sizeBytes, sha256 }));
    } finally {
      // Of one that failed: it would lie here until the sweep.
      await rm(content, { force: true });
    }
    move(progress, { state: 'ready', percent: 100 });
  }

  /** Returns the SHA-256 of the file. */
  #fill({ cluster, order: { format, snapshot }, progress, content }: Filling): Promise<string> {
    const { signal } = this.#stop;
    const onProgress = (percent: number) => move(progress, { percent });
    move(progress, { state: 'reading', percent: 0 });
    return withExportedDisk(cluster, {
      snapshot,
      signal,
      read: async (places) => {
        if (format !== 'raw') move(progress, { state: 'converting', percent: 0 });
        return await makeFileInThread({ places, format, to: content }, { signal, onProgress });
      },
    });
  }

  async #read<T>(id: string, file: string, schema: z.ZodType<T>): Promise<T | null> {
    if (!/^[0-9a-f]{32}$/.test(id)) return null;
    const text = await readFile(join(this.#options.directory, id, file), 'utf8').catch(() => null);
    return text === null ? null : schema.parse(JSON.parse(text));
  }

  async #touch(id: string): Promise<void> {
    const now = new Date(this.#options.clock.now());
    await utimes(join(this.#options.directory, id, 'order.json'), now, now).catch(() => undefined);
  }
}

function missing(message: string): FarmError {
  return new FarmError('NotFound', message, { details: { solve: 'Request the export of the image again.' } });
}

function move(progress: Progress, change: Partial<Pick<Progress, 'state' | 'percent' | 'error'>>): void {
  const { state, percent } = progress;
  Object.assign(progress, change);
  if (progress.state === state && progress.percent === percent) return;
  for (const listener of progress.listeners) listener();
}

function idOf({ cluster, snapshot, format }: ExportOrder): string {
  return createHash('sha256')
    .update(JSON.stringify([cluster, snapshot, format]))
    .digest('hex')
    .slice(0, 32);
}

function fileNameOf({ module, version, vm, disk, format, isOneOfSeveral }: ExportOrder): string {
  return `${module}-${version}${isOneOfSeveral ? `-${vm}-${disk}` : ''}.${format}`;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}
