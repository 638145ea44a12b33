import { MAX_PAGE } from '../../common/contracts/api/parameters.ts';
import { addressOf } from '../../common/contracts/api/request.ts';
import type { ImageView } from '../../common/contracts/images.ts';
import { type Run, runOf } from '../../common/nbd/run.ts';
import { readSparse, SPARSE_TYPE } from '../../common/nbd/sparse-stream.ts';
import { download } from './download.ts';
import { type BodyOf, type FarmApi, queryFlag } from './farm-api.ts';
import { notAFarm } from './refusal.ts';

/** Images of a farm: reading, tagging, removing, importing, exporting, pushing. Every method throws as `FarmApi` does. */
export class ImageClient {
  readonly #api: FarmApi;

  constructor(api: FarmApi) {
    this.#api = api;
  }

  /** All of them, newest first. */
  async list(module?: string): Promise<ImageView[]> {
    const found: ImageView[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await this.#api.call('listImages', { query: { limit: MAX_PAGE, cursor, module } });
      found.push(...page.images);
      if (page.nextCursor === null) return found;
      cursor = page.nextCursor;
    }
  }

  /** How an image came about. */
  provenance(image: string) {
    return this.#api.call('readProvenance', { params: { image } });
  }

  /** `NAME`, `NAME:VERSION` or `NAME@TAG`. */
  read(image: string) {
    return this.#api.call('readImage', { params: { image } });
  }

  tag(module: string, tag: string, version: number) {
    return this.#api.call('tagImage', { params: { module, tag }, body: { version } });
  }

  untag(module: string, tag: string) {
    return this.#api.call('untagImage', { params: { module, tag } });
  }

  /** `force`: also when it has a tag or others are based on it. */
  remove(image: string, { force = false } = {}) {
    return this.#api.call('removeImage', { params: { image }, query: { force: queryFlag(force) } });
  }

  /** Removes the images beyond a retention; by default the one of the farm's configuration. */
  prune(order: BodyOf<'pruneImages'>) {
    return this.#api.call('pruneImages', { body: order });
  }

  /** Makes a version of an image from a disk image as it is; the same key is the same import. */
  import(module: string, order: BodyOf<'importImage'>, idempotencyKey: string) {
    const headers = { 'idempotency-key': idempotencyKey };
    return this.#api.call('importImage', { params: { module }, body: order, headers });
  }

  /** Orders a file of a disk, or finds the one that is there. */
  startExport(image: string, order: BodyOf<'exportImage'>) {
    return this.#api.call('exportImage', { params: { image }, body: order });
  }

  /** An export, when it has moved on or after some seconds. */
  readExport(id: string) {
    return this.#api.call('readExport', { params: { export: id }, query: { wait: 'true' } });
  }

  /** The file of an export from a byte on. */
  async *exportContent(id: string, offset: number): AsyncGenerator<Run> {
    const headers = { accept: SPARSE_TYPE, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
    const { farm } = this.#api;
    const response = await download(farm, addressOf('downloadExport', { params: { export: id } }), headers);
    if (offset > 0 && response.statusCode !== 206) throw notAFarm(farm.url, 'it does not support range requests');
    if (response.headers['content-type'] === SPARSE_TYPE) yield* (await readSparse(response, offset)).runs;
    else for await (const chunk of response as AsyncIterable<Buffer>) yield runOf(chunk);
  }

  /** Pushes a disk of an image to a registry, and yields the progress; leaving the loop cancels it. */
  push(image: string, order: BodyOf<'pushImage'>) {
    return this.#api.stream('pushImage', { params: { image }, body: order });
  }
}
