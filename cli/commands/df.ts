import type { Command } from 'commander';
import { printable } from '../../common/text/printable.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { sizeText } from '../output/image-text.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('df')
    .description('show what the farm has of the storage of its clusters, and what is free there')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (flags: ConnectionFlags & { readonly json?: boolean }) => {
    const storage = await new FarmClient(requireFarm(flags)).storage();
    if (flags.json) return printJson(storage);
    printTable(
      ['cluster', 'images', 'sources', 'builds', 'failed', 'free'],
      storage.clusters.map(({ cluster, images, sources, working, failed, freeBytes }) => [
        cluster,
        ...[images, sources, working, failed].map(({ count, bytes }) => `${sizeText(bytes)} (${count})`),
        freeBytes === null ? 'not told' : sizeText(freeBytes),
      ]),
    );
    for (const { cluster, error } of storage.clusters) if (error !== null) printLine(`${cluster}: ${printable(error)}`);
    const { usedBytes, limitBytes } = storage.records;
    printLine(`\nRecords, events and logs in Redis: ${sizeText(usedBytes)} of ${sizeText(limitBytes)}`);
  });
}
