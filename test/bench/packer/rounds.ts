import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, type SshKeyPair } from '../../../common/ssh/key-pair.ts';
import type { DiscFiles } from '../../../embedded/storage/iso9660.ts';
import { makeDisc } from '../../../embedded/storage/media.ts';
import { startFarm, type TestFarm } from '../../harness/farm.ts';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import type { GuestImages } from '../../harness/guest-images.ts';
import { answersFor, imageModule, installedModules } from './modules.ts';
import { buildWithPacker, type PackerSource } from './packer.ts';
import { HOST_ADDRESS, makeDisk, type RawTimes, runRaw } from './raw.ts';
import { buildOnFarm, type FarmTimes, watchMoments } from './slipway.ts';

/** One measured thing, in milliseconds. */
export interface Figure {
  readonly round: number;
  readonly what: string;
  readonly who: 'Packer' | 'raw limit' | 'Slipway';
  readonly ms: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** The least that each took for the same. */
export interface Comparison {
  readonly what: string;
  readonly packerMs: number;
  readonly rawMs: number;
  readonly slipwayMs: number;
  readonly target: string;
}

export interface Bench {
  /** Everything but the farm's own data goes there. */
  readonly folder: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly guests: GuestImages;
}

const ANSWERS = 'answers.txt';
const BOOT_WAIT_MS = 5_000;
const SCRIPTS = ['one', 'two', 'three', 'four'].map((word) => `echo ${word} >> /etc/layers`);
const CHANGED = [...SCRIPTS.slice(0, -1), 'echo changed >> /etc/layers'];
const FIRST = SCRIPTS.slice(0, 1);
const STEPS = ['first', 'second', 'third', 'fourth', 'fifth'].map((word) => `echo ${word}`);

const IMAGE = 'a cloud image and one script';
const INSTALLER = 'an installation by a typed line, one script';
const LAYERS = 'the last of four layers has changed';
const TARGETS: Readonly<Record<string, string>> = { [IMAGE]: '<= 0.85', [INSTALLER]: '<= 0.7', [LAYERS]: '<= 0.2' };

/** Rounds of the comparison, each with a farm of its own: its caches are as empty as Packer's. */
export class Rounds {
  readonly #bench: Bench;
  readonly #onFigure: (figure: Figure) => void;
  readonly #figures: Figure[] = [];
  #round = 0;

  constructor(bench: Bench, onFigure: (figure: Figure) => void) {
    this.#bench = bench;
    this.#onFigure = onFigure;
  }

  async run(round: number, only: readonly string[]): Promise<void> {
    this.#round = round;
    const { cloudImage, installerIso } = this.#bench.guests;
    const [image, media] = await Promise.all([serveFile(cloudImage), serveFile(installerIso)]);
    const farm = await startFarm();
    try {
      if (only.includes('image')) await this.#image(farm, image);
      if (only.includes('installer')) await this.#installer(farm, media);
      if (only.includes('layers')) await this.#layers(farm, media);
    } finally {
      await Promise.all([farm.purge(), image.stop(), media.stop()]);
    }
  }

  /** What all three have measured, with the least of all rounds. */
  compare(): Comparison[] {
    return Object.entries(TARGETS).flatMap(([what, target]) => {
      const least = (who: Figure['who']) =>
        Math.min(...this.#figures.filter((figure) => figure.what === what && figure.who === who).map(({ ms }) => ms));
      const comparison = { packerMs: least('Packer'), rawMs: least('raw limit'), slipwayMs: least('Slipway') };
      return Number.isFinite(comparison.slipwayMs) ? [{ what, ...comparison, target }] : [];
    });
  }

  async #image(farm: TestFarm, image: ServedFile): Promise<void> {
    const path = this.#bench.guests.cloudImage;
    await this.#packer(IMAGE, { kind: 'image', path }, FIRST);
    await this.#inFolder(async (folder) => {
      const key = generateKeyPair('bench');
      const seed = join(folder, 'seed.iso');
      await makeDisc({ label: 'cidata', files: seedFiles(key), path: seed });
      const disk = await makeDisk(join(folder, 'disk.qcow2'), path);
      this.#tellRaw(IMAGE, await this.#raw(folder, { disk, cdrom: seed, privateKey: key.privateKey }));
    });
    this.#tellFarm(IMAGE, await buildOnFarm(farm, imageModule(image, FIRST)));
    const again = await buildOnFarm(farm, imageModule(image, STEPS));
    this.#tellFarm('the same again, with five echo steps', again);
    this.#report('each further echo step', 'Slipway', again.furtherStepMs ?? 0);
  }

  async #installer(farm: TestFarm, media: ServedFile): Promise<void> {
    await this.#packer(INSTALLER, this.#installerSource(), FIRST);
    await this.#inFolder(async (folder) => {
      const key = generateKeyPair('bench');
      const disk = await this.#rawInstallation(folder, key, (times) => this.#tellRaw(INSTALLER, times));
      // What a layer on an installed system cannot do without: its start and its end.
      this.#tellRaw(LAYERS, await this.#raw(join(folder, 'again'), { disk, privateKey: key.privateKey }));
    });
    this.#tellFarm(INSTALLER, await buildOnFarm(farm, this.#installed(media, FIRST)));
  }

  async #layers(farm: TestFarm, media: ServedFile): Promise<void> {
    const moments = watchMoments(farm);
    try {
      await buildOnFarm(farm, this.#installed(media, SCRIPTS));
    } finally {
      await moments.stop();
    }
    for (const index of SCRIPTS.keys()) {
      const captured = moments.captured.get(`layer${index}`);
      const running = moments.running.get(`layer${index + 1}`);
      if (captured === undefined || running === undefined) continue;
      this.#report('captured until the machine of the child runs', 'Slipway', running - captured);
    }
    await this.#packer(LAYERS, this.#installerSource(), CHANGED);
    this.#tellFarm(LAYERS, await buildOnFarm(farm, this.#installed(media, CHANGED)));
  }

  #installerSource(): PackerSource {
    const path = this.#bench.guests.installerIso;
    const bootLine = `${bootLineFor('{{ .HTTPIP }}:{{ .HTTPPort }}')}<enter>`;
    return { kind: 'installer', path, bootWait: `${BOOT_WAIT_MS}ms`, bootLine };
  }

  #installed(media: ServedFile, scripts: readonly string[]) {
    const bootLine = `${bootLineFor('{{ .HTTPIP }}:{{ .HTTPPort }}')}<enter>`;
    return installedModules(media, [`<wait${BOOT_WAIT_MS}ms>`, bootLine], scripts);
  }

  async #rawInstallation(folder: string, key: SshKeyPair, onTimes: (times: RawTimes) => void): Promise<string> {
    const file = join(folder, ANSWERS);
    writeFileSync(file, answersFor(key.publicKey));
    const answers = await serveFile(file);
    try {
      const disk = await makeDisk(join(folder, 'disk.qcow2'));
      const line = bootLineFor(`${HOST_ADDRESS}:${new URL(answers.url).port}`);
      const typed = { afterMs: BOOT_WAIT_MS, line };
      const cdrom = this.#bench.guests.installerIso;
      onTimes(await this.#raw(join(folder, 'install'), { disk, cdrom, privateKey: key.privateKey, typed }));
      return disk;
    } finally {
      await answers.stop();
    }
  }

  #raw(folder: string, machine: Omit<Parameters<typeof runRaw>[0], 'folder' | 'accelerator'>): Promise<RawTimes> {
    return runRaw({ ...machine, folder, accelerator: this.#bench.accelerator });
  }

  async #packer(what: string, source: PackerSource, scripts: readonly string[]): Promise<void> {
    const { accelerator } = this.#bench;
    await this.#inFolder(async (folder) => {
      this.#report(what, 'Packer', await buildWithPacker({ folder, accelerator, source, scripts }));
    });
  }

  #tellRaw(what: string, { toLoginMs, shutdownMs }: RawTimes): void {
    this.#report(what, 'raw limit', toLoginMs + shutdownMs, { 'to a login': toLoginMs, shutdown: shutdownMs });
  }

  #tellFarm(what: string, { totalMs, phasesMs, betweenMs }: FarmTimes): void {
    this.#report(what, 'Slipway', totalMs, { ...phasesMs, between: betweenMs });
  }

  #report(what: string, who: Figure['who'], ms: number, parts: Figure['parts'] = {}): void {
    const figure = { round: this.#round, what, who, ms, parts };
    this.#figures.push(figure);
    this.#onFigure(figure);
  }

  async #inFolder(work: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(this.#bench.folder, 'build-'));
    try {
      await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function bootLineFor(address: string): string {
  return `install answers=http://${address}/${ANSWERS}`;
}

function seedFiles({ publicKey }: SshKeyPair): DiscFiles {
  return new Map([
    ['meta-data', 'instance-id: raw\n'],
    ['user-data', `#cloud-config\nssh_authorized_keys: ["${publicKey}"]\n`],
  ]);
}
