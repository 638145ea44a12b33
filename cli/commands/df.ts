import type { Command } from 'commander';
import { ageOf, until } from '../../common/text/durations.ts';
import { printable } from '../../common/text/printable.ts';
import { sizeText } from '../../common/text/size-text.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

export function register(program: Command): void {
  const command = program
    .command('df')
    .description('show how much storage the farm uses on its clusters, and how much is free')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (flags: ConnectionFlags & { readonly json?: boolean }) => {
    const storage = await new FarmClient(requireFarm(flags)).storage();
    if (flags.json) return printJson(storage);
    printTable(
      ['cluster', 'images', 'sources', 'builds', 'failed', 'free'],
      storage.clusters.map(({ cluster, images, sources, working, failed, freeBytes }) => [
        cluster,
        ...[images, sources, working, failed].map(({ count, bytes }) => `${sizeText(bytes)} (${count})`),
        freeBytes === null ? 'unknown' : sizeText(freeBytes),
      ]),
    );
    const sources = storage.clusters.flatMap(({ cluster, sources: { each } }) =>
      each.map((source) => ({ cluster, ...source })),
    );
    if (sources.length > 0) {
      printLine('');
      printTable(
        ['cluster', 'size', 'last use', 'removed', 'source'],
        sources.map(({ cluster, what, name, bytes, usedAt, removedAt }) => [
          cluster,
          sizeText(bytes),
          usedAt === null ? 'unknown' : ageOf(Date.now() - Date.parse(usedAt)),
          goesText(usedAt, removedAt),
          what ?? name,
        ]),
      );
    }
    for (const { cluster, error } of storage.clusters) if (error !== null) printLine(`${cluster}: ${printable(error)}`);
    const { usedBytes, limitBytes } = storage.records;
    printLine(`\nRecords, events and logs in Redis: ${sizeText(usedBytes)} of ${sizeText(limitBytes)}`);
  });
}

function goesText(usedAt: string | null, removedAt: string | null): string {
  if (removedAt !== null) return until(Date.parse(removedAt) - Date.now());
  return usedAt === null ? 'unknown' : 'in use';
}
