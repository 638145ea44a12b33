import type { Command } from 'commander';
import { type ImageView, parseImageReference } from '../../common/contracts/images.ts';
import { isChangedByHand } from '../../common/contracts/layers.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { onDiskText, sizeText } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { relatives } from '../output/image-text.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addExportCommand } from './image-export.ts';
import { addImportCommand } from './image-import.ts';
import { addPushCommand } from './image-push.ts';
import { addRemovalCommands } from './image-removal.ts';
import { addConnectionFlags } from './shared-flags.ts';

const REFERENCE = 'NAME (its newest version), NAME:VERSION or NAME@TAG';

interface ShowFlags extends ConnectionFlags {
  readonly json?: boolean;
  readonly provenance?: boolean;
}

export function register(program: Command): void {
  const command = program.command('image').description('show, tag, import, export, push and remove images of the farm');
  const show = command
    .command('show')
    .description('show an image: where its disks are, its parents and its children')
    .argument('<image>', REFERENCE)
    .option('--json', 'print one JSON object')
    .option('--provenance', 'print its provenance: an in-toto statement with SLSA provenance (needs the role builder)');
  addConnectionFlags(show).action(async (reference: string, { json, provenance, ...flags }: ShowFlags) => {
    const farm = new FarmClient(requireFarm(flags));
    if (provenance) return printJson(await farm.images.provenance(reference));
    const image = await farm.images.read(reference);
    if (json) return printJson(image);
    printImage(image);
  });
  const tag = command
    .command('tag')
    .description('assign a tag such as stable to a version; it moves from the version that had it')
    .argument('<image>', REFERENCE)
    .argument('<tag>', 'the tag');
  addConnectionFlags(tag).action(async (reference: string, name: string, flags: ConnectionFlags) => {
    const farm = new FarmClient(requireFarm(flags));
    const { module, version } = await farm.images.read(reference);
    const { formerVersion } = await farm.images.tag(module, name, version);
    const moved = formerVersion === null || formerVersion === version ? '' : ` (before: ${module}:${formerVersion})`;
    printLine(`${module}@${name} is ${module}:${version}${moved}.`);
  });
  const untag = command.command('untag').description('remove a tag; the version stays').argument('<image>', 'NAME@TAG');
  addConnectionFlags(untag).action(async (reference: string, flags: ConnectionFlags) => {
    const { module, tag: name } = parseImageReference(reference) ?? { module: '', tag: null };
    if (name === null) throw new FarmError('InvalidRequest', `"${reference}" has no tag: write NAME@TAG.`);
    await new FarmClient(requireFarm(flags)).images.untag(module, name);
    printLine(`Removed the tag ${module}@${name}.`);
  });
  addExportCommand(command, REFERENCE);
  addImportCommand(command);
  addPushCommand(command, REFERENCE);
  addRemovalCommands(command, REFERENCE);
}

function printImage(image: ImageView): void {
  const { module, version, current, tags, createdAt, by, sizeBytes, cluster, namespace, layerKey } = image;
  const properties: readonly (readonly [string, string])[] = [
    ['image', `${module}:${version}${current ? ' (current)' : ''}`],
    ['tags', tags.join(', ') || '-'],
    ['built', createdAt],
    ['by', by ?? '-'],
    ['size', sizeText(sizeBytes)],
    ['on disk', onDiskText(image)],
    ['based on', relatives(image.basedOn)],
    ['children', relatives(image.children)],
    ['cluster', `${cluster}, namespace ${namespace}`],
    ...(isChangedByHand(image) ? [['by hand', 'a person continued the build after a failed step'] as const] : []),
    ['layer key', layerKey],
  ];
  for (const [property, value] of properties) printLine(`${property.padEnd(10)}  ${value}`);
  printLine('');
  printTable(
    ['vm', 'disk', 'size', 'bus', 'snapshot', 'template', 'firmware'],
    image.vms.flatMap(({ vm, disks, template, firmware }) =>
      disks.map((disk) => [vm, disk.name, sizeText(disk.sizeBytes), disk.bus, disk.snapshot, template, firmware]),
    ),
  );
}
