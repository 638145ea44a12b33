import { hash } from 'node:crypto';

/** Longest name that KubeVirt and Kubernetes labels take. */
const MAX_NAME = 63;

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

/** Identity of a layer build in object names. */
export interface BuildIdentity {
  readonly layerBuild: string;
  readonly generation: number;
}

/**
 * `sw-<id>-g<n>-<role>[-part…]`: a lower-case DNS label, cut with a hash when it would be longer than 63 characters.
 * The parts are DNS labels that users chose. Their hyphens are doubled: a run of one hyphen only ever separates, so that
 * different parts never make one name (disk `b-c` of `a` is `disk-a-b--c`, disk `c` of `a-b` is `disk-a--b-c`).
 */
export function objectName({ layerBuild, generation }: BuildIdentity, role: string, ...parts: string[]): string {
  const chosen = parts.map((part) => part.replaceAll('-', '--'));
  return cutName(['sw', layerBuild.toLowerCase(), `g${generation}`, role, ...chosen].join('-'));
}

/** The VirtualMachine, and its VMI, that a VM of a module is built on. */
export function machineName(identity: BuildIdentity, vm: string): string {
  return objectName(identity, 'vm', vm);
}

/** The Secret with the key pair by which the farm gets into the guests of a generation. */
export function sshKeyName(identity: BuildIdentity): string {
  return objectName(identity, 'ssh');
}

/** The relay of a VPC of a module. */
export function relayName(identity: BuildIdentity, vpc: string): string {
  return objectName(identity, 'relay', vpc);
}

/** Name of the volume (and its snapshot) of an imported source, which all builds of a farm share. */
export function sourceName(farm: string, identity: string): string {
  return `sw-source-${hash('sha256', `${farm}/${identity}`).slice(0, 32)}`;
}

/**
 * Cuts a name to 63 characters, keeping it unique by 64 bits of a hash of the whole. The hash follows three hyphens, a run
 * that no name has that was not cut: a name can be no other's cut form.
 */
function cutName(name: string): string {
  if (name.length <= MAX_NAME) return name;
  const end = `---${hash('sha256', name).slice(0, 16)}`;
  return `${name.slice(0, MAX_NAME - end.length).replace(/-+$/, '')}${end}`;
}
