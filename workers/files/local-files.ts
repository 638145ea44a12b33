import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { blobOf } from '../../common/contracts/blobs.ts';
import type { LocalFile } from '../../common/contracts/module/contents.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { fetchSource } from '../../common/fetch/fetch-source.ts';
import type { PhaseContext } from '../context/phase-context.ts';

type Fetching = Pick<PhaseContext, 'addresses' | 'signal'>;

/** The content of a local file as it comes from the farm's store; its stream fails unless the content is the planned one. */
export function openLocalFile(context: Fetching, file: LocalFile): Readable {
  return Readable.from(verified(context, file), { objectMode: false });
}

/** The same as a whole, for small contents. */
export function readLocalFile(context: Fetching, file: LocalFile): Promise<Buffer> {
  return buffer(openLocalFile(context, file));
}

async function* verified({ addresses, signal }: Fetching, { url }: LocalFile): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  const { url: link, agent } = addresses.forWorker(url);
  try {
    const { body } = await fetchSource(link, { agent, signal });
    for await (const chunk of body ?? []) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    signal.throwIfAborted();
    const message = `A local file could not be read from the farm's store: ${errorMessage(error)}`;
    throw new FarmError('ConnectionLost', message, { cause: error });
  }
  if (hash.digest('hex') === blobOf(url)) return;
  throw new FarmError('ConnectionLost', `A local file did not come whole from the farm's store (${url}).`);
}
