import { FarmError } from '../../common/errors/farm-error.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject } from '../api/objects.ts';
import { userFor } from '../host/confinement.ts';
import { uidOf } from './context.ts';

/** Default capabilities of root in a container by containerd, as `setpriv` writes it. */
const OF_ROOT = [
  ...['audit_write', 'chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'mknod', 'net_bind_service'],
  ...['net_raw', 'setfcap', 'setgid', 'setpcap', 'setuid', 'sys_chroot'],
];

/** Those of Kubernetes' safe sysctls that a network namespace has. */
const SAFE_SYSCTLS = new Set(
  [
    ...['ip_local_port_range', 'ip_local_reserved_ports', 'ip_unprivileged_port_start', 'ping_group_range'],
    ...['tcp_fin_timeout', 'tcp_keepalive_intvl', 'tcp_keepalive_probes', 'tcp_keepalive_time', 'tcp_syncookies'],
  ].map((name) => `net.ipv4.${name}`),
);

/** User and rights of a pod's container. */
export interface PodSecurity {
  readonly user: number;
  readonly group: number;
  /** Further ones: `fsGroup`, and `supplementalGroups`. */
  readonly groups: readonly number[];
  /** Owns the pod's volumes together with root. */
  readonly fsGroup: number;
  readonly capabilities: readonly string[];
  /** Whether it may write nowhere but to its volumes. */
  readonly isReadOnly: boolean;
  readonly sysctls: readonly { readonly name: string; readonly value: string }[];
}

/**
 * Reads the security contexts of a pod and its container. The command that stands for an image has no user of its own, so
 * without `runAsUser` it gets a user of its own. Privileges are never gained (`allowPrivilegeEscalation`).
 * @throws FarmError `InvalidRequest` where kubelet would not start the container
 */
export function securityOf(pod: KubeObject): PodSecurity {
  const ofPod = contextOf(pod.spec);
  const context = { ...ofPod, ...contextOf(fieldAt(pod.spec, 'containers', 0)) };
  const user = Number(context['runAsUser'] ?? userFor(uidOf(pod)));
  if (user === 0 && context['runAsNonRoot'] === true) {
    throw new FarmError('InvalidRequest', "container's runAsUser breaks non-root policy");
  }
  const group = Number(context['runAsGroup'] ?? user);
  const fsGroup = Number(ofPod['fsGroup'] ?? group);
  const more = Array.isArray(ofPod['supplementalGroups']) ? ofPod['supplementalGroups'].map(Number) : [];
  return {
    user,
    group,
    groups: [fsGroup, ...more],
    fsGroup,
    capabilities: user === 0 ? capabilitiesOf(context) : [],
    isReadOnly: context['readOnlyRootFilesystem'] === true,
    sysctls: sysctlsOf(ofPod),
  };
}

function contextOf(spec: unknown): JsonObject {
  const context = fieldAt(spec, 'securityContext');
  return isJsonObject(context) ? context : {};
}

/** As kubelet: single drops are applied last, "ALL" first. */
function capabilitiesOf(context: JsonObject): string[] {
  const [added, dropped] = ['add', 'drop'].map((change) => namesAt(fieldAt(context, 'capabilities', change)));
  const kept = dropped?.includes('all') ? [] : OF_ROOT;
  return [...new Set([...kept, ...(added ?? [])])].filter((name) => !dropped?.includes(name));
}

function namesAt(value: unknown): string[] {
  return Array.isArray(value) ? value.map((name) => String(name).toLowerCase().replace(/^cap_/, '')) : [];
}

function sysctlsOf(context: JsonObject) {
  const sysctls = Array.isArray(context['sysctls']) ? context['sysctls'] : [];
  return sysctls.map((sysctl: unknown) => {
    const [name, value] = [String(fieldAt(sysctl, 'name')), String(fieldAt(sysctl, 'value'))];
    if (SAFE_SYSCTLS.has(name) && /^\d+( \d+)*$/.test(value)) return { name, value };
    throw new FarmError('InvalidRequest', `forbidden sysctl: "${name}" is not one that pods of this cluster may set`);
  });
}
