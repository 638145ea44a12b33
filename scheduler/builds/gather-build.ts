import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import { partOfLine, stepPart } from '../../common/contracts/log-part.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import { readPastEvents } from '../../common/redis/event-streams.ts';
import { readScreenshot, type StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { readSerial } from '../../common/redis/serial-logs.ts';
import { fileName } from '../../common/text/file-name.ts';
import { provenanceOf } from './provenance.ts';
import { buildView } from './views.ts';

/** Characters that are held back before they are written. */
const BATCH = 1024 ** 2;

/** A build, and the target of its archive. */
export interface Gathering {
  readonly redis: Redis;
  readonly build: StoredBuild;
  readonly layerBuilds: ReadonlyMap<string, StoredLayerBuild>;
  /** An empty folder. */
  readonly folder: string;
  /** Of the farm's program. */
  readonly version: string;
}

/**
 * Writes everything that the farm knows of a build, as it is now: `build.json` (with the plan), `events.jsonl`, and by module
 * and VM `logs/` (a file per step, and one per phase for the rest), `serial.log`, `screen.png`; `provenance.json` of
 * modules that have become images. @throws RedisUnavailable
 */
export async function gatherBuild(gathering: Gathering): Promise<void> {
  const { redis, build, layerBuilds, folder } = gathering;
  await writeJson(join(folder, 'build.json'), buildView(build, layerBuilds));
  await writeEvents(gathering);
  for (const { name, layerBuild = '' } of build.modules) {
    const stored = layerBuilds.get(layerBuild);
    if (!stored) continue;
    for (const { name: vm } of stored.spec.vms) {
      const place = join(folder, fileName(name), fileName(vm));
      const pieces = await readSerial(redis, { layerBuild, vm, lastId: '0' });
      const lines = pieces.flatMap((piece) => piece.lines);
      if (lines.length > 0) await writeWhole(join(place, 'serial.log'), text(lines));
      const screen = await readScreenshot(redis, layerBuild, vm);
      if (screen) await writeWhole(join(place, 'screen.png'), screen);
    }
  }
  await writeProvenance(gathering);
}

async function writeEvents({ redis, build, folder }: Gathering): Promise<void> {
  const spool = new Spool(folder);
  const running = new Map<string, string>();
  for await (const event of readPastEvents(redis, { buildId: build.id, lastEventId: '0' })) {
    await spool.add('events.jsonl', JSON.stringify(event));
    const place = 'vm' in event ? join(fileName(event.module), fileName(event.vm), 'logs') : '';
    if (event.event === 'step-started') running.set(place, stepPart(event));
    if (event.event === 'step-finished') running.delete(place);
    if (event.event !== 'log') continue;
    await spool.add(join(place, `${partOfLine(event, running.get(place))}.log`), `${event.time} ${event.line}`);
  }
  await spool.flush();
}

async function writeProvenance({ redis, build, layerBuilds, folder, version }: Gathering): Promise<void> {
  const { layers, images } = await readLayers(redis);
  for (const { name, layerKey, layerBuild = '' } of build.modules) {
    const record = layers.get(layerKey);
    const image = images.findLast((each) => each.module === name && each.layerKey === layerKey);
    if (!record || !image) continue;
    const parents = images.filter((each) => record.parents.includes(each.layerKey));
    const statement = provenanceOf({ image, record, parents, stored: layerBuilds.get(layerBuild) ?? null, version });
    await writeJson(join(folder, fileName(name), 'provenance.json'), statement);
  }
}

/** Appends lines to many files, a few at a time. */
class Spool {
  readonly #folder: string;
  readonly #held = new Map<string, string[]>();
  #size = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async add(file: string, line: string): Promise<void> {
    const lines = this.#held.get(file);
    if (lines) lines.push(line);
    else this.#held.set(file, [line]);
    this.#size += line.length;
    if (this.#size > BATCH) await this.flush();
  }

  async flush(): Promise<void> {
    for (const [file, lines] of this.#held) {
      const path = join(this.#folder, file);
      await mkdir(dirname(path), { recursive: true });
      await appendFile(path, text(lines));
    }
    this.#held.clear();
    this.#size = 0;
  }
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
