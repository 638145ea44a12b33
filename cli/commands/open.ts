import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { printLine, printNote } from '../output/print.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface OpenFlags extends ConnectionFlags {
  readonly print?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('open')
    .description('open the web console in a browser, signed in; without a browser, print its link')
    .option('--print', 'only print the link: it signs a browser in once, within 15 minutes');
  addConnectionFlags(command).action(async (flags: OpenFlags) => {
    const farm = requireFarm(flags);
    const link = await new FarmClient(farm).consoleLink();
    if (flags.print || !(await openInBrowser(link))) printLine(link);
    else printNote(`The web console of ${farm.url} opens in a browser. \`slipway open --print\` prints its link.`);
  });
}

/** False where no desktop is, or none that can open a link. */
async function openInBrowser(link: string, { DISPLAY, WAYLAND_DISPLAY } = process.env): Promise<boolean> {
  const isMac = process.platform === 'darwin';
  if (!isMac && !DISPLAY && !WAYLAND_DISPLAY) return false;
  try {
    await promisify(execFile)(isMac ? 'open' : 'xdg-open', [link]);
    return true;
  } catch {
    return false;
  }
}
