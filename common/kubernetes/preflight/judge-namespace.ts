import type { ClusterConfig } from '../../config/schema.ts';
import type { Finding } from '../../contracts/findings.ts';
import { parseQuantity } from '../../text/quantity.ts';
import type { KubernetesObject, ResourceQuota } from '../objects.ts';
import { RELAY_RESOURCES } from '../relay-resources.ts';
import { type ClusterFacts, networkOn } from './cluster-facts.ts';

type NamespaceConfig = Pick<ClusterConfig, 'namespace' | 'network' | 'externalSubnet'>;

/** Checks that the farm namespace exists and admits the objects of a build. */
export function judgeNamespace(facts: ClusterFacts, config: NamespaceConfig): Finding[] {
  const { namespace: found } = facts;
  const { namespace } = config;
  if (found === 'unreadable') {
    const what = `Whether the namespace "${namespace}" exists is unknown: the scheduler may not read it.`;
    return [{ what, severity: 'warning', howToFix: 'Make it, and grant the scheduler the right to get it.' }];
  }
  if (found.known === undefined) {
    const howToFix = `kubectl create namespace ${namespace}, or name another one as clusters[].namespace.`;
    return [{ what: `The farm namespace "${namespace}" does not exist.`, severity: 'error', howToFix }];
  }
  // KubeOVN runs the gateway of a VPC in the namespace of its VpcEgressGateway: this one.
  const hasGateways = networkOn(facts.served, config) === 'kube-ovn' && config.externalSubnet !== undefined;
  return [...(hasGateways ? judgePodSecurity(found.known, namespace) : []), ...judgeQuotas(facts.quotas, namespace)];
}

const ENFORCED = 'pod-security.kubernetes.io/enforce';

/** The first container of an egress gateway is privileged (KubeOVN 1.14 to 1.16); relays and launchers are not. */
function judgePodSecurity({ metadata }: KubernetesObject, namespace: string): Finding[] {
  const level = metadata?.labels?.[ENFORCED];
  if (level !== 'baseline' && level !== 'restricted') return [];
  return [
    {
      what: `The namespace "${namespace}" enforces the pod security standard "${level}", and KubeOVN's egress gateways are privileged: modules with internet will fail.`,
      severity: 'error',
      howToFix: `kubectl label --overwrite namespace ${namespace} ${ENFORCED}=privileged.`,
    },
  ];
}

/** Resources of a relay that a quota counts; `cpu` and `memory` are short for requests. */
const RELAY_NEEDS: Readonly<Record<string, string>> = {
  pods: '1',
  cpu: RELAY_RESOURCES.requests.cpu,
  memory: RELAY_RESOURCES.requests.memory,
  'requests.cpu': RELAY_RESOURCES.requests.cpu,
  'requests.memory': RELAY_RESOURCES.requests.memory,
  'limits.cpu': RELAY_RESOURCES.limits.cpu,
  'limits.memory': RELAY_RESOURCES.limits.memory,
};
/** A relay has requests, and no deadline: quotas of other scopes do not count it. */
const RELAY_SCOPES = ['NotTerminating', 'NotBestEffort'];

/** Judged by the limits of the quotas, not by their present use, which changes. Unreadable quotas are a missing right. */
function judgeQuotas(quotas: ClusterFacts['quotas'], namespace: string): Finding[] {
  if (quotas === 'unreadable') return [];
  return quotas.known.filter(countsRelays).flatMap(({ metadata, spec }) =>
    Object.entries(spec?.hard ?? {}).flatMap(([resource, hard]): Finding[] => {
      const need = RELAY_NEEDS[resource];
      if (need === undefined || (parseQuantity(hard) ?? 0) >= (parseQuantity(need) ?? 0)) return [];
      return [
        {
          what: `The quota "${metadata?.name}" of the namespace "${namespace}" allows ${resource}: ${hard}, and a relay alone takes ${need}: no module can be built.`,
          severity: 'error',
          howToFix: 'Raise the quota: each module takes that much beside its machines.',
        },
      ];
    }),
  );
}

function countsRelays({ spec }: ResourceQuota): boolean {
  return spec?.scopeSelector === undefined && (spec?.scopes ?? []).every((scope) => RELAY_SCOPES.includes(scope));
}
