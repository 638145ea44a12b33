import { hash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { FarmError } from '../errors/farm-error.ts';
import type { ReleaseStack } from './release-stack.ts';

/**
 * Makes sure that one process of a kind at a time works in a directory. The lock is an abstract Unix socket named after
 * both: the kernel lets it go when the process ends, however it ends.
 * @param kind of the process, e.g. `embedded cluster`
 * @throws FarmError InvalidConfig when another process has it
 */
export async function lockDirectory(directory: string, kind: string, resources: ReleaseStack): Promise<void> {
  const path = await realpath(directory).catch(() => directory);
  const digest = hash('sha256', path).slice(0, 32);
  const lock = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    lock.once('error', (cause) =>
      reject(new FarmError('InvalidConfig', `Another ${kind} already runs in "${directory}".`, { cause })),
    );
    lock.listen(`\0slipway-${kind.replaceAll(' ', '-')}-${digest}`, resolve);
  });
  lock.unref();
  resources.defer('lock of the directory', () => void lock.close());
}
