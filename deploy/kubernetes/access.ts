import { ROLES, type Role } from '../../common/contracts/roles.ts';
import { rulesOf } from '../../common/kubernetes/rights.ts';
import { type Manifest, metadataElsewhere, metadataOf, type Part, selectorLabels, text } from './parts.ts';
import type { Scope } from './values.ts';

/** Service accounts, and what each may do in the farm namespace and with KubeOVN's kinds that have no namespace. */
export function access(scope: Scope): Part[] {
  return [{ file: 'access', objects: ROLES.flatMap((role) => accessOf(scope, role)) }];
}

function accessOf(scope: Scope, role: Role): Manifest[] {
  const account = metadataOf(scope, role);
  const inFarm = metadataElsewhere(scope, role, text`${scope.values.farmNamespace}`);
  const everywhere = metadataElsewhere(scope, role);
  const subjects = [{ kind: 'ServiceAccount', name: account.name, namespace: account.namespace }];
  const clusterRules = rulesOf(role, 'cluster');
  const rbac = 'rbac.authorization.k8s.io';
  return [
    // Workers and scheduler speak to the API with it where the configuration names no kubeconfig.
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: inFarm, rules: rulesOf(role, 'namespaced') },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: inFarm,
      roleRef: { apiGroup: rbac, kind: 'Role', name: inFarm.name },
      subjects,
    },
    ...(clusterRules.length === 0
      ? []
      : [
          { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: everywhere, rules: clusterRules },
          {
            apiVersion: `${rbac}/v1`,
            kind: 'ClusterRoleBinding',
            metadata: everywhere,
            roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: everywhere.name },
            subjects,
          },
        ]),
  ];
}

/**
 * Who may reach the farm's processes. What leaves them is not limited: modules name their sources, and clusters may be
 * anywhere.
 */
export function networkPolicies(scope: Scope): Part[] {
  const { values } = scope;
  const all = { 'app.kubernetes.io/name': 'slipway', 'app.kubernetes.io/instance': scope.name };
  const monitoring = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': values.monitoring.namespace } },
  };
  // Schedulers show what workers see of the consoles that they type on.
  const schedulers = { podSelector: { matchLabels: selectorLabels(scope, 'scheduler') } };
  const http = [{ protocol: 'TCP', port: 'http' }];
  return [
    {
      file: 'network-policies',
      when: { path: 'networkPolicy.enabled' },
      objects: [
        policy(scope, 'workers', {
          podSelector: { matchLabels: all },
          ingress: [{ from: [monitoring, schedulers], ports: http }],
        }),
        policy(scope, 'scheduler', {
          podSelector: { matchLabels: selectorLabels(scope, 'scheduler') },
          // Everybody may ask; the token decides.
          ingress: [{ ports: http }],
        }),
      ],
    },
    {
      file: 'redis',
      when: { path: 'redis.url', is: '' },
      objects: [
        policy(scope, 'redis', {
          podSelector: { matchLabels: selectorLabels(scope, 'redis') },
          ingress: [{ from: [{ podSelector: { matchLabels: all } }], ports: [{ protocol: 'TCP', port: 6379 }] }],
        }),
      ],
    },
  ];
}

function policy(scope: Scope, component: string, spec: object): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadataOf(scope, component),
    spec: { ...spec, policyTypes: ['Ingress'] },
  };
}
