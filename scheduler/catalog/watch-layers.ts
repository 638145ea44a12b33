import { LABELS } from '../../common/contracts/object-keys.ts';
import type { VolumeSnapshot } from '../../common/kubernetes/objects.ts';
import type { SharedWatch } from '../../common/kubernetes/shared-watch.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import { reconcileLayers, reconcileSome, recordOn } from './reconcile-layers.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

const LOOK_AGAIN_MS = 300_000;
/** While snapshots of removed layers are on their way out. */
const STILL_GOING_MS = 5_000;
/** More layers than this are not looked at one by one; everything is looked at instead. */
const MOST_NAMED = 100;

/** `snapshots` are all of the farm. */
export interface LayerWatchOptions extends ClusterWatchOptions {
  readonly snapshots: SharedWatch<VolumeSnapshot>;
}

/**
 * Keeps the catalog and the snapshots of a cluster in step: every layer's record is stored on its snapshots, a layer whose
 * snapshots are gone is forgotten, the rest of a removed one is deleted, and one that Redis has lost is read back from the
 * cluster. Layers with notices are checked at once, all of them at intervals. Ends with `signal`.
 */
export async function watchLayers(options: LayerWatchOptions, signal: AbortSignal): Promise<void> {
  const { cluster, clock, logger } = options;
  const watch = new LayerWatch(options, signal);
  const wake = [watch.hearNotices, watch.followSnapshots];
  const loop = { what: 'Reading layers back', fields: { cluster: cluster.name }, look: watch.look };
  await lookAgain({ ...loop, everyMs: LOOK_AGAIN_MS, wake, clock, logger }, signal);
}

/** What is known of a cluster's snapshots, and which layers are to be looked at. */
class LayerWatch {
  readonly #options: LayerWatchOptions;
  readonly #signal: AbortSignal;
  /** By name. */
  readonly #snapshots = new Map<string, VolumeSnapshot>();
  /** Keys of layers with notices. */
  readonly #changed = new Set<string>();
  #isSynced = false;
  #isAllDue = true;
  #allAt = 0;

  constructor(options: LayerWatchOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  readonly hearNotices: Wake = (ring) => {
    const { notices, cluster } = this.#options;
    const stop = notices.listen((notice) => {
      if (notice.kind === 'reconnected') this.#isAllDue = true;
      else if (notice.kind === 'layer' && notice.cluster === cluster.name) this.#changed.add(notice.layerKey);
      else return;
      ring();
    });
    this.#signal.addEventListener('abort', stop, { once: true });
  };

  readonly followSnapshots: Wake = (ring) => {
    this.#options.snapshots.listen((event) => {
      if (event.type === 'synced') this.#replaceSnapshots(event.objects.filter(isOfLayer));
      else if (event.type === 'deleted' && isOfLayer(event.object)) this.#forgetSnapshot(event.object);
      else if (event.type === 'changed' && isOfLayer(event.object)) return this.#keepSnapshot(event.object);
      else return;
      ring();
    }, this.#signal);
  };

  /** Returns when to look again, ms; null before the snapshots are known. */
  readonly look = async (): Promise<number | null> => {
    if (!this.#isSynced) return null;
    const { clock } = this.#options;
    const layerKeys = [...this.#changed];
    const isFull = this.#isAllDue || clock.now() >= this.#allAt || layerKeys.length > MOST_NAMED;
    this.#changed.clear();
    this.#isAllDue = false;
    try {
      const isDone = isFull
        ? await reconcileLayers(this.#options, this.#snapshots, this.#signal)
        : await reconcileSome(this.#options, { snapshots: this.#snapshots, layerKeys }, this.#signal);
      if (isFull) this.#allAt = clock.now() + LOOK_AGAIN_MS;
      return isDone ? Math.max(1, this.#allAt - clock.now()) : STILL_GOING_MS;
    } catch (error) {
      this.#isAllDue = true;
      throw error;
    }
  };

  #replaceSnapshots(all: readonly VolumeSnapshot[]): void {
    this.#snapshots.clear();
    for (const snapshot of all) this.#keepSnapshot(snapshot);
    this.#isSynced = true;
    this.#isAllDue = true;
  }

  #keepSnapshot(snapshot: VolumeSnapshot): void {
    this.#snapshots.set(nameOf(snapshot), snapshot);
  }

  #forgetSnapshot(snapshot: VolumeSnapshot): void {
    this.#snapshots.delete(nameOf(snapshot));
    const layerKey = recordOn(snapshot)?.layerKey;
    if (layerKey === undefined) this.#isAllDue = true;
    else this.#changed.add(layerKey);
  }
}

function isOfLayer({ metadata }: VolumeSnapshot): boolean {
  return metadata?.labels?.[LABELS.role] === 'layer';
}

function nameOf({ metadata }: VolumeSnapshot): string {
  return metadata?.name ?? '';
}
