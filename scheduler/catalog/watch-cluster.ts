import { LABELS } from '../../common/contracts/object-keys.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { SharedWatch } from '../../common/kubernetes/shared-watch.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { holdLease } from '../../common/redis/leases.ts';
import { inspectCluster } from './inspect-cluster.ts';
import { sweepExported } from './sweep-exported.ts';
import { type ClusterWatchOptions, sweepOrphans } from './sweep-orphans.ts';
import { sweepSources } from './sweep-sources.ts';
import { watchLayers } from './watch-layers.ts';
import { watchMachines } from './watch-machines.ts';
import { watchStorage } from './watch-storage.ts';

/**
 * Watches a cluster while this process holds its lease, until `signal` is aborted: slots, catalog, orphans, shared
 * sources, exported volumes, free storage and findings. `owner` is the identity of the process.
 */
export async function watchCluster(options: ClusterWatchOptions, owner: string, signal: AbortSignal): Promise<void> {
  const { redis, clock, cluster, logger } = options;
  const name = `cluster-${cluster.name}`;
  await holdLease({ redis, clock, logger, name, owner }, (term) => watchAll(options, term), signal);
}

async function watchAll(options: ClusterWatchOptions, signal: AbortSignal): Promise<void> {
  options.logger.info({ cluster: options.cluster.name }, 'Watching the cluster');
  const failed = new AbortController();
  const both = anySignal(signal, failed.signal);
  // One that fails ends all: the lease is released, and the next holder starts all of them.
  let inspectSoon = () => {};
  const reached = (ring: () => void) => {
    inspectSoon = ring;
  };
  const snapshots = new SharedWatch<VolumeSnapshot>();
  const labels = { [LABELS.farm]: options.farm };
  const parts = [
    watchMachines({ ...options, onReached: () => inspectSoon() }, both),
    watchLayers({ ...options, snapshots }, both),
    sweepOrphans(options, both),
    sweepSources({ ...options, snapshots }, both),
    sweepExported(options, both),
    inspectCluster(options, reached, both),
    watchStorage(options, both),
    // Last: its listeners are there.
    snapshots.run(options.cluster, RESOURCES.snapshots, { labels, signal: both }),
  ].map((part) =>
    part.catch((error: unknown) => {
      failed.abort();
      throw error;
    }),
  );
  const [failure] = (await Promise.allSettled(parts)).filter((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
