import { CLUSTER_ROLES, type ClusterRole } from '../../common/contracts/roles.ts';
import { describeRight, rightsOf } from '../../common/kubernetes/rights.ts';
import { ONLY_ELSEWHERE, type Unrecorded } from './only-elsewhere.ts';
import type { Requests } from './recorded-requests.ts';

/** Kubernetes lets every account ask what it may do itself (`system:basic-user`). */
const EVERYBODY_MAY = new Set(['create selfsubjectaccessreviews (authorization.k8s.io) everywhere']);

function namesOfRights(role: ClusterRole): ReadonlySet<string> {
  return new Set(rightsOf(role).map(describeRight));
}

/** Requests that the rights of the role that made them do not cover: `role: right` each. */
export function beyondRights(requests: Requests): string[] {
  return differences(
    (role) => [...(requests.get(role) ?? [])],
    (role, request) => namesOfRights(role).has(request) || EVERYBODY_MAY.has(request),
  );
}

/** Rights that no request of their role used, and that the reviewed table does not explain. */
export function unusedRights(requests: Requests): string[] {
  return differences(
    (role) => [...namesOfRights(role)],
    (role, right) => requests.get(role)?.has(right) || explanationOf(role, right) !== undefined,
  );
}

/** Lines of the reviewed table that explain nothing: the right is not granted, or is marked as never used but is used. */
export function idleExplanations(requests: Requests): string[] {
  return ONLY_ELSEWHERE.flatMap((line) =>
    line.roles
      .filter(
        (role) => !namesOfRights(role).has(line.right) || (!line.mayHappen && requests.get(role)?.has(line.right)),
      )
      .map((role) => `${role}: ${line.right}`),
  );
}

function explanationOf(role: ClusterRole, right: string): Unrecorded | undefined {
  return ONLY_ELSEWHERE.find((line) => line.right === right && line.roles.includes(role));
}

function differences(
  of: (role: ClusterRole) => string[],
  isFine: (role: ClusterRole, right: string) => boolean | undefined,
) {
  return CLUSTER_ROLES.flatMap((role) =>
    of(role)
      .filter((right) => !isFine(role, right))
      .toSorted()
      .map((right) => `${role}: ${right}`),
  );
}
