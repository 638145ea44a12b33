import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { printLine } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ExportFlags extends ConnectionFlags {
  readonly output?: string;
}

/** `build export`. */
export function addBuildExportCommand(command: Command): void {
  const exporting = command
    .command('export')
    .description('write everything about a build to one archive: logs, serial output, screenshots, events, provenance')
    .argument('<build>', 'id of the build, or the beginning or end of the id')
    .option('-o, --output <file>', 'the archive, a tar.gz; - for standard output (default: build-ID.tar.gz)');
  addConnectionFlags(exporting).action(async (id: string, _flags: ExportFlags, self: Command) => {
    // `build` has --url and others as well, and takes them to itself.
    const { output, ...flags } = self.optsWithGlobals<ExportFlags>();
    const client = new FarmClient(requireFarm(flags));
    const buildId = await resolveBuild(client, id);
    const archive = Readable.from(client.buildArchive(buildId));
    if (output === '-') return pipeline(archive, process.stdout, { end: false });
    const path = output ?? `build-${buildId}.tar.gz`;
    const part = `${path}.part`;
    try {
      await pipeline(archive, createWriteStream(part));
      await rename(part, path);
    } finally {
      await rm(part, { force: true });
    }
    printLine(path);
  });
}
