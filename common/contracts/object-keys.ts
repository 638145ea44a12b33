/** Labels on every object that the farm makes on a cluster. */
export const LABELS = {
  farm: 'slipway.dev/farm',
  layerBuild: 'slipway.dev/layer-build',
  generation: 'slipway.dev/generation',
  module: 'slipway.dev/module',
  vm: 'slipway.dev/vm',
  /** On relays that a Service leads to: its name. */
  relay: 'slipway.dev/relay',
  /** Which kind of object it is to the farm: `build`, `template`, `layer`, `source`. */
  role: 'slipway.dev/role',
  /** On layers and shared sources: the (cut) key. */
  layerKey: 'slipway.dev/layer-key',
} as const;

/** Annotations, whose values may be long. */
export const ANNOTATIONS = {
  /** The LayerRecord as JSON, on every snapshot of a layer. */
  layer: 'slipway.dev/layer',
  /** Names of the layer, as JSON (LayerNames), on every snapshot of it. */
  names: 'slipway.dev/names',
  /** On templates: the module as `runnableModule` has it (JSON), from which clones are made. */
  recipe: 'slipway.dev/recipe',
  /** Set on a VM before the first key is typed: its disks cannot be trusted if the phase is not committed. */
  typing: 'slipway.dev/typing',
  /** Bytes that a guest sees of a disk, on its volume and (by CDI) its claim, which is larger than that. */
  diskBytes: 'slipway.dev/disk-bytes',
  /** On a VM: the host keys of its guest, as they were at the first login. */
  hostKeys: 'slipway.dev/host-key',
  /** On a VM: its steps are done, and what remembers them is being removed from the guest. */
  guestLeft: 'slipway.dev/guest-left',
  /** On a VM: set before its guest is asked to go down, so that an end seen later is known to be ours. */
  shutdownAsked: 'slipway.dev/shutdown-asked',
  /** On a VM: how it ended, once that was seen. */
  shutdownEnded: 'slipway.dev/shutdown-ended',
} as const;

/** Keeps a VMI that KubeVirt deletes (after `stop`) until we have read how it ended. */
export const END_FINALIZER = 'slipway.dev/observe-end';

/**
 * Storage of a VolumeSnapshot, in bytes, as annotations: CSI has no field for it (`restoreSize` is the size of
 * the volume). Clusters whose storage knows it set them before the snapshot is ready.
 */
export const SNAPSHOT_SIZES = {
  /** Its own part, without the snapshots below. */
  own: 'slipway.dev/own-bytes',
  /** With all that it is based on. */
  used: 'slipway.dev/used-bytes',
} as const;
