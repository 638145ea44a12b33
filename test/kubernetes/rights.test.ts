import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { CLUSTER_ROLES, type ClusterRole } from '../../common/contracts/roles.ts';
import { describeRight, type Right, rightsOf } from '../../common/kubernetes/rights.ts';
import { ClusterClient } from '../harness/cluster-client.ts';
import { foreignKubeconfig } from '../harness/foreign-cluster.ts';
import { kubectl } from '../harness/kubectl.ts';

const kubeconfig = foreignKubeconfig ?? '';
const client = new ClusterClient(kubeconfig);

beforeAll(() => kubectl(kubeconfig, 'apply', '-f', packagePath('deploy', 'kubernetes.yaml')));
afterAll(() => client.close());

/** Whether Kubernetes' own authoriser lets the service account of a role do it. */
async function may(role: ClusterRole, { verb, group, path }: Right, namespace?: string): Promise<boolean> {
  const [resource, ...subresource] = path.split('/');
  const user = `system:serviceaccount:slipway-system:slipway-${role}`;
  const attributes = { verb, group, resource, subresource: subresource.join('/'), namespace };
  const answer = await client.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    spec: { user, groups: ['system:serviceaccounts', 'system:authenticated'], resourceAttributes: attributes },
  });
  return (answer.body['status'] as { allowed: boolean }).allowed;
}

const everything = new Map(CLUSTER_ROLES.flatMap(rightsOf).map((right) => [describeRight(right), right]));

/** Those of the rights that a role has, by the answers of the authoriser. */
async function grantedTo(role: ClusterRole, namespace: (right: Right) => string | undefined): Promise<string[]> {
  const granted: string[] = [];
  for (const [name, right] of everything) if (await may(role, right, namespace(right))) granted.push(name);
  return granted.sort();
}

test.each(CLUSTER_ROLES)('%s has the rights of its row, and none that only other roles have', async (role) => {
  const inFarm = ({ scope }: Right) => (scope === 'cluster' ? undefined : 'slipway');
  expect(await grantedTo(role, inFarm)).toEqual([...new Set(rightsOf(role).map(describeRight))].sort());
});

test.each(CLUSTER_ROLES)('%s may do nothing in other namespaces', async (role) => {
  const namespaced = [...everything.values()].filter(({ scope }) => scope === 'namespaced');
  for (const namespace of ['slipway-system', 'default', 'kube-system']) {
    for (const right of namespaced) {
      expect([describeRight(right), namespace, await may(role, right, namespace)]).toEqual([
        describeRight(right),
        namespace,
        false,
      ]);
    }
  }
});
