import type { Agent } from 'undici';
import { blobLink, layerDiskLink, type SignedLinkOptions } from '../../common/blobs/signed-links.ts';
import { blobOf } from '../../common/contracts/blobs.ts';
import { layerDiskOf } from '../../common/contracts/layer-disks.ts';
import { assert } from '../../common/errors/farm-error.ts';

/** How URLs are reached: a user's as they are, local files and disks of layers by links to the schedulers. */
export interface SourceAddresses {
  /** For the importers of the cluster. */
  forCluster(url: string): string;
  /** For the worker itself; `agent` decides which addresses may be reached. */
  forWorker(url: string): { readonly url: string; readonly agent: Agent };
}

export interface SourceAddressOptions extends SignedLinkOptions {
  /** Of the schedulers, for the cluster and its workers. */
  readonly blobsUrl: string | undefined;
  /** For users' URLs. */
  readonly guarded: Agent;
  /** For the farm's own. */
  readonly own: Agent;
}

export function sourceAddresses({ blobsUrl, guarded, own, ...options }: SourceAddressOptions): SourceAddresses {
  /** Undefined for a user's URL. */
  const link = (url: string): string | undefined => {
    const [sha256, disk] = [blobOf(url), layerDiskOf(url)];
    if (sha256 === undefined && disk === undefined) return undefined;
    assert(blobsUrl, 'What schedulers serve is used only where they can be reached.');
    return disk ? layerDiskLink(options, blobsUrl, disk) : blobLink(options, blobsUrl, sha256 ?? '');
  };
  return {
    forCluster: (url) => link(url) ?? url,
    forWorker: (url) => {
      const ofFarm = link(url);
      return ofFarm === undefined ? { url, agent: guarded } : { url: ofFarm, agent: own };
    },
  };
}
