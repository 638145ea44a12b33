import type { Command } from 'commander';
import type { ImageView } from '../../common/contracts/layers.ts';
import { ageOf } from '../../common/text/durations.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ImageFlags extends ConnectionFlags {
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('images')
    .description('list finished layers and the snapshots that hold their disks')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (flags: ImageFlags) => {
    const layers = await new FarmClient(requireFarm(flags)).images();
    if (flags.json) {
      printJson({ images: layers });
      return;
    }
    const rows = layers.flatMap((layer) =>
      layer.vms.flatMap(({ vm, disks }) =>
        disks.map((disk) => [
          `${layer.module}:${layer.version}`,
          vm,
          disk.name,
          disk.snapshot,
          layer.cluster,
          layer.layerKey.slice(0, 12),
          ageOf(Date.now() - Date.parse(layer.createdAt)),
          layer.current ? 'current' : '',
          layer.standsOn.map(standing).join(', ') || '-',
        ]),
      ),
    );
    printTable(['image', 'vm', 'disk', 'snapshot', 'cluster', 'layer key', 'built', '', 'stands on'], rows);
  });
}

function standing({ module, version, current }: ImageView['standsOn'][number]): string {
  return `${module}:${version}${current ? '' : ' (older)'}`;
}
