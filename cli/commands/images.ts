import type { Command } from 'commander';
import type { ImageView } from '../../common/contracts/images.ts';
import { ageOf } from '../../common/text/durations.ts';
import { onDiskText, sizeText } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { relatives } from '../output/image-text.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ImageFlags extends ConnectionFlags {
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('images')
    .description('list the images of the farm: the versions of all modules, or of one')
    .argument('[module]', 'list only its versions')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (module: string | undefined, flags: ImageFlags) => {
    const images = await new FarmClient(requireFarm(flags)).images.list(module);
    if (flags.json) return printJson({ images });
    if (images.length === 0) return printLine(nothingOf(module));
    printTable(
      ['image', '', 'tags', 'built', 'by', 'disks', 'size', 'on disk', 'based on', 'children', 'cluster', 'layer key'],
      images.map(rowOf),
    );
  });
}

function nothingOf(module: string | undefined): string {
  if (module === undefined) return 'No images yet: `slipway build PATH` and `slipway image import` make them.';
  return `No image is called "${module}": \`slipway images\` lists all.`;
}

function rowOf(image: ImageView): string[] {
  const { module, version, current, tags, createdAt, by, vms, sizeBytes, basedOn, children, cluster, layerKey } = image;
  return [
    `${module}:${version}`,
    current ? 'current' : '',
    tags.join(', ') || '-',
    ageOf(Date.now() - Date.parse(createdAt)),
    by ?? '-',
    String(vms.flatMap(({ disks }) => disks).length),
    sizeText(sizeBytes),
    onDiskText(image),
    relatives(basedOn),
    relatives(children),
    cluster,
    layerKey.slice(0, 12),
  ];
}
