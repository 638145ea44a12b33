import type { VirtualResource } from '../http/discovery.ts';
import { isJsonObject, type JsonObject } from '../objects.ts';

const GROUP = 'authorization.k8s.io';

/** The questions about access that are answered: with yes, for the one user may do everything. */
export const ACCESS_REVIEWS: readonly VirtualResource[] = [
  {
    group: GROUP,
    version: 'v1',
    name: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
    verbs: ['create'],
  },
];

/** The answer to a SelfSubjectAccessReview. */
export function answerAccessReview(body: unknown): JsonObject {
  const spec = isJsonObject(body) ? body['spec'] : {};
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'SelfSubjectAccessReview',
    metadata: {},
    spec,
    status: { allowed: true, reason: 'The one user of the embedded cluster may do everything.' },
  };
}
