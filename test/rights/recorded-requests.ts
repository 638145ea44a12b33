import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLUSTER_ROLES, type ClusterRole } from '../../common/contracts/roles.ts';
import { describeRight } from '../../common/kubernetes/rights.ts';
import { roleOfUserAgent } from '../../common/kubernetes/user-agent.ts';

/** A line of the embedded cluster's audit log, as far as it is about rights. */
interface AuditRecord {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly userAgent: string;
}

/**
 * What each role asked of clusters, in the words of `describeRight`. A client that does not name itself as a process of the
 * farm (tests, kubectl) is left out.
 */
export type Requests = ReadonlyMap<ClusterRole, ReadonlySet<string>>;

/** Requests of audit logs (JSON lines). */
export function requestsOf(auditLogs: readonly string[]): Requests {
  const requests = new Map(CLUSTER_ROLES.map((role) => [role, new Set<string>()]));
  // A server that was killed may have left half a line.
  for (const line of auditLogs.flatMap((log) => log.split('\n')).filter((text) => text.endsWith('}'))) {
    const record: AuditRecord = JSON.parse(line);
    const role = roleOfUserAgent(record.userAgent);
    if (role !== undefined) requests.get(role)?.add(describeRequest(record));
  }
  return requests;
}

/** The audit logs in a folder of recordings. */
export function readRecordings(folder: string): string[] {
  return readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
}

function describeRequest({ verb, group, resource, subresource, namespace }: AuditRecord): string {
  // Port and protocol are behind it; a right names neither.
  const part = subresource.replace(/^portforward\/.*/, 'portforward');
  const path = part === '' ? resource : `${resource}/${part}`;
  return describeRight({ verb, group, path, scope: namespace === '' ? 'cluster' : 'namespaced' });
}
