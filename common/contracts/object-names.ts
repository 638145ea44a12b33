import { hash } from 'node:crypto';

/** Longest name that KubeVirt and Kubernetes labels take. */
const MAX_NAME = 63;

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
