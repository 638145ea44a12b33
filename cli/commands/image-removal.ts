import { type Command, InvalidArgumentError } from 'commander';
import { ageOf } from '../../common/text/durations.ts';
import { sizeText } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface RemovalFlags extends ConnectionFlags {
  readonly force?: boolean;
}

interface PruneFlags extends ConnectionFlags {
  readonly keep?: number;
  readonly maxAge?: string;
  readonly untagged?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `image rm` and `image prune`; `reference` describes the form of an image's name. */
export function addRemovalCommands(command: Command, reference: string): void {
  const remove = command
    .command('rm')
    .description('remove a version; its disks are removed with the last version of their layer')
    .argument('<image...>', reference)
    .option('--force', 'even if it has a tag, or other images are built on it');
  addConnectionFlags(remove).action(async (images: readonly string[], { force, ...flags }: RemovalFlags) => {
    const farm = new FarmClient(requireFarm(flags));
    for (const image of images) {
      const { module, version } = await farm.images.remove(image, { force: force === true });
      printLine(`${module}:${version} is removed.`);
    }
  });
  const prune = command
    .command('prune')
    .description('remove old images by these options, or by `retention.images` of the farm')
    .option('--keep <number>', 'newest versions of each module to keep at any age', readCount)
    .option('--max-age <duration>', 'how long to keep other versions, such as 30d')
    .option('--untagged <duration>', 'as --max-age, for untagged versions of modules that have tags')
    .option('--dry-run', 'only list what would be removed')
    .option('--json', 'print one JSON object');
  addConnectionFlags(prune).action(async ({ keep, maxAge, untagged, dryRun, json, ...flags }: PruneFlags) => {
    const pruned = await new FarmClient(requireFarm(flags)).images.prune({
      ...(keep === undefined ? {} : { keep }),
      ...(maxAge === undefined ? {} : { maxAge }),
      ...(untagged === undefined ? {} : { untagged }),
      dryRun: dryRun === true,
    });
    if (json) return printJson(pruned);
    const rows = pruned.images.map(({ module, version, namedAt, sizeBytes, cluster }) => [
      ...[`${module}:${version}`, ageOf(Date.now() - Date.parse(namedAt)), sizeText(sizeBytes), cluster],
    ]);
    if (rows.length > 0) printTable(['image', 'built', 'size', 'cluster'], rows);
    const count = `${rows.length} ${rows.length === 1 ? 'image' : 'images'}`;
    printLine(pruned.dryRun ? `${count} would be removed.` : `${count} removed.`);
  });
}

function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Write a number of versions, 1 or more.');
  return count;
}
