import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { Command } from 'commander';
import { assert, errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { printable } from '../../common/text/printable.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { printLine, printNote } from '../output/print.ts';
import { joinSerial } from './serial-console.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface ConsoleFlags extends ConnectionFlags {
  readonly screenshot?: string;
  readonly serial?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('console')
    .description(
      'open the console of a machine at a port of 127.0.0.1, for any VNC viewer; typing works while a handbuild step waits',
    )
    .argument('<build/vm>', 'id of the build and name of the machine, with a slash in between')
    .option('--screenshot <file>', 'only save the current picture as PNG')
    .option('--serial', 'connect this terminal to the first serial port of the machine instead');
  addConnectionFlags(command).action(async (target: string, flags: ConsoleFlags) => {
    const [, id, vm] = /^([^/]+)\/([^/]+)$/.exec(target) ?? [];
    if (id === undefined || vm === undefined) {
      throw new FarmError('InvalidRequest', `"${target}" is not a build and a machine: write BUILD/VM.`);
    }
    const client = new FarmClient(requireFarm(flags));
    const build = await resolveBuild(client, id);
    if (flags.serial) await joinSerial(client, build, vm);
    else if (flags.screenshot === undefined) await serveConsole(client, build, vm);
    else writeFileSync(flags.screenshot, await client.machines.screenshot(build, vm));
  });
}

/** Listens until it is interrupted. A first connection shows whether there is such a console at all. */
async function serveConsole(client: FarmClient, build: string, vm: string): Promise<void> {
  (await client.machines.openConsole(build, vm)).destroy();
  const server = createServer((viewer) => void join(client, viewer, { build, vm }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  printLine(`127.0.0.1:${portOf(server)}`);
  printNote('Open this address with a VNC viewer. Ctrl-C ends it.');
}

async function join(client: FarmClient, viewer: Socket, { build, vm }: { build: string; vm: string }): Promise<void> {
  viewer.on('error', () => viewer.destroy());
  try {
    const console = await client.machines.openConsole(build, vm);
    pipeline(viewer, console, viewer, () => {
      viewer.destroy();
      console.destroy();
    });
  } catch (error) {
    printNote(`The console cannot be opened: ${printable(errorMessage(error))}`);
    viewer.destroy();
  }
}

function portOf(server: Server): number {
  const address = server.address();
  assert(address && typeof address === 'object', 'A listening TCP server has an address.');
  return address.port;
}
