import { DEFAULT_RELAY_IMAGE } from '../../config/cluster-options.ts';
import type { ClusterConfig } from '../../config/schema.ts';
import type { Finding } from '../../contracts/findings.ts';
import type { Subnet } from '../objects.ts';
import { describeRight } from '../rights.ts';
import { type ClusterFacts, networkOn } from './cluster-facts.ts';
import { judgeNamespace } from './judge-namespace.ts';
import { judgeStorage } from './judge-storage.ts';
import { judgeVersions } from './judge-versions.ts';

/** Configuration that a cluster is checked against. */
export type JudgedConfig = Pick<
  ClusterConfig,
  'namespace' | 'network' | 'storageClass' | 'snapshotClass' | 'externalSubnet' | 'bareBinding' | 'relayImage'
>;

/** Rights named in one finding; the rest is counted. */
const NAMED_RIGHTS = 8;

/** Missing requirements of the cluster, errors first. Pure. */
export function judge(facts: ClusterFacts, config: JudgedConfig): Finding[] {
  const network = networkOn(facts.served, config);
  const findings = [
    ...judgeVersions(facts, network),
    ...judgeNamespace(facts, config),
    ...judgeStorage(facts, config),
    ...(network === 'kube-ovn' ? [...judgeEgress(facts, config), ...judgeBareBinding(facts, config)] : []),
    ...judgeRelayImage(config),
    ...judgeRights(facts),
  ];
  return findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
}

function judgeEgress({ subnets }: ClusterFacts, { externalSubnet }: JudgedConfig): Finding[] {
  const name = 'KubeOVN’s external subnet';
  if (externalSubnet === undefined) {
    const what = 'No external subnet is configured: modules with internet are refused.';
    return [{ what, severity: 'warning', howToFix: `Name ${name} as clusters[].externalSubnet.` }];
  }
  if (subnets === 'unreadable') {
    const what = `Whether the external subnet "${externalSubnet}" exists is unknown: the scheduler may not read subnets.`;
    return [{ what, severity: 'warning', howToFix: 'Grant the scheduler the right to list subnets.' }];
  }
  if (subnets.known.some(({ metadata }) => metadata?.name === externalSubnet))
    return judgeDefaultNetwork(subnets.known);
  const what = `The external subnet "${externalSubnet}" does not exist: modules with internet will fail.`;
  return [{ what, severity: 'error', howToFix: `Make it, or name ${name} as clusters[].externalSubnet.` }];
}

/**
 * Where KubeOVN is a secondary network (1.15 and newer, `--non-primary-cni-mode`) it gives pods no address of their own, so none
 * of its default subnet is in use. An egress gateway then has the other network's address, to which no VPC leads.
 */
function judgeDefaultNetwork(subnets: readonly Subnet[]): Finding[] {
  const unused = subnets.find(({ spec, status }) => spec?.default === true && Number(status?.v4usingIPs) === 0);
  if (unused === undefined) return [];
  return [
    {
      what: `No pod has an address of KubeOVN’s default subnet "${unused.metadata?.name}": it seems to be a secondary network, whose egress gateways lead nowhere. Modules with internet will fail.`,
      severity: 'warning',
      howToFix:
        'Make KubeOVN the network of pods, or leave clusters[].externalSubnet out: such modules are refused then.',
    },
  ];
}

/** Reported only when one is configured: few modules have segments where a guest hands out addresses. */
function judgeBareBinding({ kubeVirts }: ClusterFacts, { bareBinding }: JudgedConfig): Finding[] {
  const [installed] = kubeVirts === 'unreadable' ? [] : kubeVirts.known;
  if (bareBinding === undefined || installed === undefined) return [];
  const type = installed.spec?.configuration?.network?.binding?.[bareBinding]?.domainAttachmentType;
  if (type === 'managedTap') return [];
  const isOther = type === undefined ? 'does not know' : `has by another type (${type})`;
  return [
    {
      what: `KubeVirt ${isOther} the network binding "${bareBinding}": modules with unmanaged subnets will fail.`,
      severity: 'error',
      howToFix: `Set spec.configuration.network.binding.${bareBinding}.domainAttachmentType of the KubeVirt object to managedTap.`,
    },
  ];
}

function judgeRelayImage({ relayImage }: JudgedConfig): Finding[] {
  if (relayImage !== DEFAULT_RELAY_IMAGE) return [];
  const what = `The relay image is the default "${relayImage}", which no registry serves.`;
  const howToFix = 'Push the image where the cluster can pull it, and name it as clusters[].relayImage.';
  return [{ what, severity: 'warning', howToFix }];
}

function judgeRights({ refusedRights }: ClusterFacts): Finding[] {
  if (refusedRights === 'unreadable') {
    const what = 'Whether all rights are granted is unknown: the cluster does not answer SelfSubjectAccessReviews.';
    return [{ what, severity: 'warning', howToFix: 'Compare its roles with deploy/kubernetes.yaml.' }];
  }
  const missing = refusedRights.known.map(describeRight);
  if (missing.length === 0) return [];
  const more = missing.length > NAMED_RIGHTS ? `, and ${missing.length - NAMED_RIGHTS} more` : '';
  const what = `Rights are missing: ${missing.slice(0, NAMED_RIGHTS).join(', ')}${more}.`;
  const howToFix = 'Make the Roles and ClusterRoles of deploy/kubernetes.yaml and bind them to this account.';
  return [{ what, severity: 'error', howToFix }];
}
