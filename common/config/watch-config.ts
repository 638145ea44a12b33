import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock } from '../clock/clock.ts';
import { lookAgain, type Wake } from '../lifecycle/look-again.ts';
import type { Logger } from '../logging/logger.ts';
import { loadConfig } from './load-config.ts';
import type { Config } from './schema.ts';

/** A file that is being written may be valid and lack its end: its text must stay the same for this long. */
const SETTLED_MS = 1_000;
/** Not every file system reports changes. */
const LOOK_AGAIN_MS = 30_000;

/**
 * Passes on the configuration of this process at once and whenever its file has changed, until `signal` is aborted. A file that is not
 * valid changes nothing; `take` is repeated while it fails.
 */
export async function watchConfig(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  take: (config: Config) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const file = process.env['SLIPWAY_CONFIG'];
  if (file === undefined) return;
  let taken: string | undefined;
  const look = async () => {
    let text = await readFile(file, 'utf8');
    for (let before: string | undefined; text !== taken && text !== before; text = await readFile(file, 'utf8')) {
      before = text;
      await clock.after(SETTLED_MS, signal);
    }
    if (text !== taken) await take(loadConfig());
    taken = text;
    return null;
  };
  const loop = { what: 'Taking the configuration', look, everyMs: LOOK_AGAIN_MS, wake: [atChanges(file)] };
  await lookAgain({ ...loop, clock, logger }, signal);
}

/**
 * Editors, and the volumes of ConfigMaps, put another file in its place: its folder is watched. Where the machine has no watch left, the
 * file is only looked at now and then.
 */
function atChanges(file: string): Wake {
  return (ring, signal) => {
    try {
      const watcher = watch(dirname(file), { signal }, (_change, name) => {
        if (name === null || name === basename(file) || name === '..data') ring();
      });
      watcher.on('error', () => watcher.close());
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  };
}
