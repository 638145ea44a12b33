import type { Agent } from 'undici';
import { type BlobLinkOptions, blobLink } from '../../common/blobs/blob-links.ts';
import { blobOf } from '../../common/contracts/blobs.ts';
import { assert } from '../../common/errors/farm-error.ts';

/** How the URLs of a compiled module are reached: a user's as they are, local files by links to the farm's store. */
export interface SourceAddresses {
  /** For the importers of the cluster. */
  forCluster(url: string): string;
  /** For the worker itself; `agent` decides which addresses may be reached. */
  forWorker(url: string): { readonly url: string; readonly agent: Agent };
}

export interface SourceAddressOptions extends BlobLinkOptions {
  /** Of the schedulers, for the cluster and its workers. */
  readonly blobsUrl: string | undefined;
  /** For users' URLs. */
  readonly guarded: Agent;
  /** For the farm's own. */
  readonly own: Agent;
}

export function sourceAddresses({ blobsUrl, guarded, own, ...options }: SourceAddressOptions): SourceAddresses {
  const link = (sha256: string) => {
    assert(blobsUrl, 'A build of local files is accepted only where they can be read.');
    return blobLink(options, blobsUrl, sha256);
  };
  return {
    forCluster: (url) => {
      const sha256 = blobOf(url);
      return sha256 === undefined ? url : link(sha256);
    },
    forWorker: (url) => {
      const sha256 = blobOf(url);
      return sha256 === undefined ? { url, agent: guarded } : { url: link(sha256), agent: own };
    },
  };
}
