import { ROLES, type Rule, rulesOf } from '../../../deploy/kubernetes/roles.ts';

/** A request as the embedded cluster's audit log has it. */
interface AuditedRequest {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
}

/** Requests of an audit log (JSON lines) that no role of the manifests grants, each once. */
export function notGranted(auditLog: string): string[] {
  const rules = ROLES.flatMap((role) => [...rulesOf(role, 'namespaced'), ...rulesOf(role, 'cluster')]);
  const requests = auditLog
    .split('\n')
    .filter((line) => line !== '')
    .map((line): AuditedRequest => JSON.parse(line));
  const refused = requests.filter((request) => !rules.some((rule) => covers(rule, request)));
  return [...new Set(refused.map(describe))];
}

function covers({ apiGroups, resources, verbs }: Rule, { verb, group, ...request }: AuditedRequest): boolean {
  return apiGroups.includes(group) && resources.includes(pathOf(request)) && verbs.includes(verb);
}

function pathOf({ resource, subresource }: Pick<AuditedRequest, 'resource' | 'subresource'>): string {
  return subresource === '' ? resource : `${resource}/${subresource}`;
}

function describe({ verb, group, ...request }: AuditedRequest): string {
  return `${verb} ${pathOf(request)}${group === '' ? '' : ` (${group})`}`;
}
