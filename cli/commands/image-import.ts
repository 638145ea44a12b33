import { randomUUID } from 'node:crypto';
import { type Command, Option } from 'commander';
import type { ImportOrder } from '../../common/contracts/imports.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { hashFile, type LocalContentFile } from '../local-files/hash-local-files.ts';
import { submitWithFiles } from '../local-files/send-local-files.ts';
import { notePlan } from '../output/plan-notes.ts';
import { printJson, printLine } from '../output/print.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { chooseOutput, followBuild } from './build.ts';
import { addConnectionFlags, addFollowFlags, type FollowFlags } from './shared-flags.ts';

interface ImportFlags extends ConnectionFlags, FollowFlags {
  readonly checksum?: string;
  readonly firmware: 'bios' | 'efi';
  readonly secureBoot: boolean;
  readonly cpu?: string;
  readonly memory?: string;
  readonly sshUsername?: string;
  readonly wait: boolean;
  readonly json?: boolean;
}

/** `image import` */
export function addImportCommand(command: Command): void {
  const importing = command
    .command('import')
    .description('make a version of an image from a disk image as it is, without starting it')
    .argument('<from>', 'a file of this machine, or an http(s) URL: qcow2, raw, VMDK, VDI, VHD, VHDX, also compressed')
    .argument('<name>', 'the image; it gets the next version of that name')
    .option('--checksum <checksum>', 'expected checksum of the image at a URL, such as sha256:…')
    .addOption(new Option('--firmware <kind>', 'firmware that it boots with').choices(['bios', 'efi']).default('bios'))
    .option('--secure-boot', 'with --firmware efi: its clones start only signed boot loaders', false)
    .option('--cpu <number>', 'CPUs of its clones (default: 2)')
    .option('--memory <size>', 'memory of its clones (default: 4Gi)')
    .option('--ssh-username <name>', 'the account to log in to its clones with (default: root)')
    .option('--no-wait', 'only print the id of the build that imports it')
    .option('--json', 'print one JSON object per line');
  addFollowFlags(addConnectionFlags(importing)).action(async (from: string, name: string, flags: ImportFlags) => {
    process.exitCode = await importImage(from, name, flags);
  });
}

async function importImage(from: string, name: string, flags: ImportFlags): Promise<number> {
  const { checksum, firmware, secureBoot, cpu, memory, sshUsername, json = false } = flags;
  const client = new FarmClient(requireFarm(flags));
  const line = new TransferLine(process.stderr);
  const { source, contents } = await sourceOf(from, checksum, line);
  const order = { source, firmware, secureBoot, cpu, memory, sshUsername };
  const key = randomUUID();
  const sender = { client, contents, line };
  const { buildId, plan } = await submitWithFiles(sender, () => client.images.import(name, order, key));
  if (!json) notePlan(plan);
  if (!flags.wait) {
    if (json) printJson({ buildId });
    else printLine(buildId);
    return 0;
  }
  return followBuild({ client, buildId, flags, output: chooseOutput(json, buildId) });
}

interface FoundSource {
  readonly source: ImportOrder['source'];
  /** By SHA-256. */
  readonly contents: ReadonlyMap<string, LocalContentFile>;
}

async function sourceOf(from: string, checksum: string | undefined, line: TransferLine): Promise<FoundSource> {
  if (/^https?:\/\//i.test(from)) return { source: { url: from, checksum }, contents: new Map() };
  if (checksum !== undefined) {
    throw new FarmError('InvalidRequest', `--checksum is for URLs: "${from}" is read on this machine.`);
  }
  const { sha256, ...content } = await hashFile(from, line);
  line.clear();
  return { source: { sha256, sizeBytes: content.sizeBytes }, contents: new Map([[sha256, content]]) };
}
