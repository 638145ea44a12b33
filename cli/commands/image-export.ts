import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { EXPORT_FORMATS, type ExportFormat, type ExportView } from '../../common/contracts/exports.ts';
import type { ImageView } from '../../common/contracts/images.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import { sizeText } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { carriedError } from '../client/refusal.ts';
import { type ReadyExport, receiveFile, receiveStream } from '../exports/receive-export.ts';
import { printLine, printNote } from '../output/print.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ExportFlags extends ConnectionFlags {
  readonly vm?: string;
  readonly disk?: string;
  readonly format: ExportFormat;
  readonly output?: string;
}

interface RequestedDisk {
  readonly vm: string;
  readonly disk: string;
}

/** `image export`; `reference` describes the form of an image's name. */
export function addExportCommand(command: Command, reference: string): void {
  const exporting = command
    .command('export')
    .description('write the disks of an image to files, and verify them')
    .argument('<image>', reference)
    .option('--vm <name>', 'only the disks of this VM')
    .option('--disk <name>', 'only the disks of this name')
    .addOption(new Option('--format <format>', 'format of the files').choices(EXPORT_FORMATS).default('qcow2'))
    .option(
      '-o, --output <path>',
      'the file; - for standard output; a folder for several disks (default: named after the image)',
    );
  addConnectionFlags(exporting).action(async (image: string, { vm, disk, format, output, ...flags }: ExportFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const found = await client.images.read(image);
    const disks = chooseDisks(found, { vm, disk });
    const exporter = new Exporter(client, found, format);
    const [only] = disks;
    if (only && disks.length === 1) return exporter.one(only, output);
    if (output === '-') {
      throw new FarmError(
        'InvalidRequest',
        `Standard output takes one disk, but ${disks.length} match: choose one with --vm and --disk.`,
      );
    }
    return exporter.several(disks, output ?? `${found.module}-${found.version}`);
  });
}

/** @throws InvalidRequest without one */
function chooseDisks(
  { module, version, vms }: ImageView,
  requested: Partial<Record<keyof RequestedDisk, string | undefined>>,
) {
  const all = vms.flatMap(({ vm, disks }) => disks.map(({ name }): RequestedDisk => ({ vm, disk: name })));
  const chosen = all.filter((one) => (requested.vm ?? one.vm) === one.vm && (requested.disk ?? one.disk) === one.disk);
  if (chosen.length > 0) return chosen;
  const known = all.map(({ vm, disk }) => `${vm}/${disk}`).join(', ');
  const asked = `${requested.vm ?? '*'}/${requested.disk ?? '*'}`;
  throw new FarmError('InvalidRequest', `${module}:${version} has no disk ${asked}. Its disks (VM/DISK) are ${known}.`);
}

/** Writes disks of one image to files. */
class Exporter {
  readonly #client: FarmClient;
  readonly #image: ImageView;
  readonly #format: ExportFormat;
  readonly #line = new TransferLine(process.stderr);

  constructor(client: FarmClient, image: ImageView, format: ExportFormat) {
    this.#client = client;
    this.#image = image;
    this.#format = format;
  }

  async one(disk: RequestedDisk, output: string | undefined): Promise<void> {
    const found = await this.#ready(disk);
    const receiver = { client: this.#client, line: this.#line };
    if (output === '-') {
      await receiveStream(receiver, found, process.stdout);
      return printNote(`${found.fileName}: ${sizeText(found.sizeBytes)}, SHA-256 ${found.sha256}, verified.`);
    }
    const isFolder = output !== undefined && (await stat(output).catch(() => null))?.isDirectory();
    const path = isFolder ? join(output, found.fileName) : (output ?? found.fileName);
    await receiveFile(receiver, found, path);
    printLine(`${path}: ${sizeText(found.sizeBytes)}, SHA-256 ${found.sha256}, verified.`);
  }

  /** To a folder, with a manifest that maps files to disks. */
  async several(disks: readonly RequestedDisk[], folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    // All are begun before the first one is fetched.
    for (const disk of disks) await this.#order(disk);
    const files = [];
    for (const disk of disks) {
      const found = await this.#ready(disk);
      await receiveFile({ client: this.#client, line: this.#line }, found, join(folder, found.fileName));
      printLine(`${join(folder, found.fileName)}: ${sizeText(found.sizeBytes)}, SHA-256 ${found.sha256}, verified.`);
      files.push({
        ...disk,
        ...this.#hardware(disk),
        file: found.fileName,
        sizeBytes: found.sizeBytes,
        sha256: found.sha256,
      });
    }
    const { module, version, layerKey } = this.#image;
    const manifest = { module, version, layerKey, format: this.#format, disks: files };
    await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    printLine(`${join(folder, 'manifest.json')} lists the disk of each file.`);
  }

  #hardware({ vm, disk }: RequestedDisk) {
    const machine = this.#image.vms.find((each) => each.vm === vm);
    const index = machine?.disks.findIndex(({ name }) => name === disk) ?? 0;
    return { position: index + 1, bus: machine?.disks[index]?.bus, firmware: machine?.firmware };
  }

  #order(disk: RequestedDisk): Promise<ExportView> {
    const { module, version } = this.#image;
    return this.#client.images.startExport(`${module}:${version}`, { ...disk, format: this.#format });
  }

  async #ready(disk: RequestedDisk): Promise<ReadyExport> {
    let view = await this.#order(disk);
    while (view.state !== 'ready') {
      if (view.error) throw wrapError(carriedError(view.error), `Exporting ${disk.vm}/${disk.disk}`);
      this.#line.showShare(`${view.fileName}: ${view.state}`, view.percent);
      view = await this.#client.images.readExport(view.id);
    }
    this.#line.clear();
    return { ...view, sizeBytes: view.sizeBytes ?? 0, sha256: view.sha256 ?? '' };
  }
}
