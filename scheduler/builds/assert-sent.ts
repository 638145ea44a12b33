import { blobsIn } from '../../common/contracts/blobs.ts';
import type { LocalEntry } from '../../common/contracts/local-files.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { GraphPlan } from '../graph/expand.ts';
import { eachOf } from './each-of.ts';

/** Files that a message names; more are counted. */
const NAMED = 5;

interface Sent {
  readonly blobs: Pick<BlobStore, 'use'> | null;
  blobsUrlOf(cluster: string): string | null;
  readonly clusterOf: ReadonlyMap<string, string>;
  readonly localFiles: readonly LocalEntry[];
}

/**
 * Every local file of the layers that are to be made is here, counts as used now, and can be read where they are made.
 * What is reused needs none.
 * @throws LocalFilesOff, BlobMissing
 */
export async function assertSent({ plan, layers }: GraphPlan, sent: Sent): Promise<void> {
  const needed = new Set<string>();
  for (const { name, action } of plan.modules) {
    const found = action === 'reuse' ? new Set<string>() : blobsIn(JSON.stringify(layers[name]?.spec ?? null));
    if (found.size > 0) assertReadable(name, sent);
    for (const sha256 of found) needed.add(sha256);
  }
  const missing = await eachOf([...needed], async (sha256) => ((await sent.blobs?.use(sha256)) ? [] : [sha256]));
  if (missing.flat().length > 0) throw blobsMissing(missing.flat(), sent.localFiles);
}

function assertReadable(module: string, { blobs, blobsUrlOf, clusterOf }: Sent): void {
  const cluster = clusterOf.get(module) ?? '';
  if (blobs && blobsUrlOf(cluster) !== null) return;
  const option = blobs ? 'blobs.url' : 'blobs.directory';
  const message = `Module "${module}" names local files, which this farm cannot hand to the cluster "${cluster}": the option ${option} is missing.`;
  throw new FarmError('LocalFilesOff', message);
}

function blobsMissing(missing: readonly string[], localFiles: readonly LocalEntry[]): FarmError {
  const paths = new Map(localFiles.flatMap((entry) => ('sha256' in entry ? [[entry.sha256, entry.path]] : [])));
  const named = missing.slice(0, NAMED).map((sha256) => `"${paths.get(sha256)}" (${sha256})`);
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : '';
  const message = `The farm does not have the content of ${named.join(', ')}${more}.`;
  return new FarmError('BlobMissing', message, { details: { missing } });
}
