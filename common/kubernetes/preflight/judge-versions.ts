import type { Finding } from '../../contracts/findings.ts';
import type { ClusterFacts, Read } from './cluster-facts.ts';

type Version = readonly [major: number, minor: number];

/** Oldest versions that have what the farm uses. */
const LEAST = { Kubernetes: [1, 27], KubeVirt: [1, 7], CDI: [1, 65] } as const satisfies Record<string, Version>;
type Product = keyof typeof LEAST;

/** Kinds of products that tell no version, with what it means that one is not served. */
const KINDS: readonly (readonly [group: string, resource: string, what: string, howToFix: string])[] = [
  ['kubevirt.io/v1', 'virtualmachines', 'KubeVirt is not installed', 'Install KubeVirt 1.7 or newer.'],
  ['cdi.kubevirt.io/v1beta1', 'datavolumes', 'CDI is not installed', 'Install CDI 1.65 or newer.'],
  [
    'snapshot.storage.k8s.io/v1',
    'volumesnapshots',
    'VolumeSnapshots are not served',
    'Install the CRDs and the controller of the CSI external-snapshotter (API v1).',
  ],
  [
    'k8s.cni.cncf.io/v1',
    'network-attachment-definitions',
    'Multus is not installed: NetworkAttachmentDefinitions are not served',
    'Install Multus, as a part of KubeOVN’s installation as a secondary network or by itself.',
  ],
  ['kubeovn.io/v1', 'subnets', 'KubeOVN is not installed', 'Install KubeOVN 1.14 or newer.'],
  [
    'kubeovn.io/v1',
    'vpc-egress-gateways',
    'KubeOVN is older than 1.14: it serves no VpcEgressGateways',
    'Install KubeOVN 1.14 or newer.',
  ],
];

/** What is too old, absent or not at work. */
export function judgeVersions(facts: ClusterFacts): Finding[] {
  return [
    ...judgeVersion('Kubernetes', facts.kubernetes),
    ...judgeKinds(facts.served),
    ...judgeInstallation('KubeVirt', facts.kubeVirts, ({ observedKubeVirtVersion }) => observedKubeVirtVersion),
    ...judgeInstallation('CDI', facts.cdis, ({ observedVersion }) => observedVersion),
  ];
}

/** Of a product that is absent as a whole only that is said. */
function judgeKinds(served: ClusterFacts['served']): Finding[] {
  const absent = KINDS.filter(([group, resource]) => served.get(group)?.has(resource) === false);
  const groups = absent.map(([group]) => group);
  return absent
    .filter(([group], index) => groups.indexOf(group) === index)
    .map(([, , what, howToFix]) => ({ what: `${what}.`, severity: 'error', howToFix }));
}

function judgeInstallation<S extends { readonly phase?: string }>(
  product: Product,
  objects: Read<readonly { readonly status?: S }[]>,
  versionOf: (status: S) => string | undefined,
): Finding[] {
  if (objects === 'unreadable') {
    const howToFix = `Grant the scheduler the right to list ${product === 'CDI' ? 'cdis' : 'kubevirts'}.`;
    return [{ what: `The version of ${product} is not known: it may not be read.`, severity: 'warning', howToFix }];
  }
  const [status] = objects.known.flatMap((object) => object.status ?? []);
  // That it is absent, its kinds have said.
  if (status === undefined) return [];
  const version = judgeVersion(product, versionOf(status) ?? '');
  if (status.phase === undefined || status.phase === 'Deployed') return version;
  const howToFix = `See why its operator has not finished: kubectl get ${product.toLowerCase()} -A -o yaml.`;
  return [...version, { what: `${product} is not ready: it is ${status.phase}.`, severity: 'warning', howToFix }];
}

function judgeVersion(product: Product, text: string): Finding[] {
  const least = LEAST[product];
  const needed = `${product} ${least.join('.')} or newer`;
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(text) ?? [];
  if (major === undefined || minor === undefined) {
    const what = `The version of ${product} is not known: it calls itself "${text}".`;
    return [{ what, severity: 'warning', howToFix: `Make sure that it is ${needed}.` }];
  }
  const isOld = Number(major) < least[0] || (Number(major) === least[0] && Number(minor) < least[1]);
  return isOld ? [{ what: `${product} ${text} is too old.`, severity: 'error', howToFix: `Install ${needed}.` }] : [];
}
