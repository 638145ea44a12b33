import { readVersion } from '../config/version.ts';
import { CLUSTER_ROLES, type ClusterRole } from '../contracts/roles.ts';

/** How a process of the farm names itself to API servers, e.g. `slipway-import/0.1.0`: audit logs distinguish roles by it. */
export function userAgent(role: ClusterRole): string {
  return `slipway-${role}/${readVersion()}`;
}

/** The role of a process that named itself so; undefined for other clients. */
export function roleOfUserAgent(text: string): ClusterRole | undefined {
  return CLUSTER_ROLES.find((role) => text.startsWith(`slipway-${role}/`));
}
