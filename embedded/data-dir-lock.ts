import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { FarmError } from '../common/errors/farm-error.ts';
import type { ReleaseStack } from '../common/lifecycle/release-stack.ts';

/**
 * Makes sure that one process at a time works in a data directory. The lock is an abstract Unix socket named after
 * the directory: the kernel lets it go when the process ends, however it ends.
 * @throws FarmError InvalidConfig when another process has it
 */
export async function lockDataDir(dataDir: string, resources: ReleaseStack): Promise<void> {
  const path = await realpath(dataDir).catch(() => dataDir);
  const name = `\0slipway-embedded-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
  const lock = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    lock.once('error', (cause) =>
      reject(new FarmError('InvalidConfig', `Another embedded cluster already runs in "${dataDir}".`, { cause })),
    );
    lock.listen(name, resolve);
  });
  lock.unref();
  resources.defer('lock of the data directory', () => void lock.close());
}
