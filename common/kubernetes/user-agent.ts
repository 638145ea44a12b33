import { readVersion } from '../config/version.ts';
import type { Role } from '../contracts/roles.ts';

/** How a process of the farm names itself to API servers, e.g. `slipway-import/0.1.0`: audit logs tell roles apart by it. */
export function userAgent(role: Role): string {
  return `slipway-${role}/${readVersion()}`;
}
