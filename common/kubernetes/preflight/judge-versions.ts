import type { Finding } from '../../contracts/findings.ts';
import type { NetworkKind } from '../../contracts/network-kinds.ts';
import type { ClusterFacts, Read } from './cluster-facts.ts';

type Version = readonly [major: number, minor: number];

/** Oldest versions with the features that the farm uses. */
const LEAST = { Kubernetes: [1, 27], KubeVirt: [1, 7], CDI: [1, 65] } as const satisfies Record<string, Version>;
type Product = keyof typeof LEAST;

/** Kinds of products that report no version, with the finding when one is not served. */
const KINDS: readonly (readonly [group: string, resource: string, what: string, howToFix: string])[] = [
  ['kubevirt.io/v1', 'virtualmachines', 'KubeVirt is not installed', 'Install KubeVirt 1.7 or newer.'],
  ['cdi.kubevirt.io/v1beta1', 'datavolumes', 'CDI is not installed', 'Install CDI 1.65 or newer.'],
  [
    'snapshot.storage.k8s.io/v1',
    'volumesnapshots',
    'VolumeSnapshots are not served',
    'Install the CRDs and the controller of the CSI external-snapshotter (API v1).',
  ],
];

/** Further kinds of each kind of network. */
const NEEDED_BY: Readonly<Record<NetworkKind, typeof KINDS>> = {
  'kube-ovn': [
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
  ],
  pod: [],
};

/** Products that are too old, absent or not running. */
export function judgeVersions(facts: ClusterFacts, network: NetworkKind): Finding[] {
  return [
    ...judgeVersion('Kubernetes', facts.kubernetes),
    ...judgeKinds(facts.served, [...KINDS, ...NEEDED_BY[network]]),
    ...judgeSubresources(facts.served),
    ...judgeInstallation('KubeVirt', facts, ({ observedKubeVirtVersion }) => observedKubeVirtVersion),
    ...judgeInstallation('CDI', facts, ({ observedVersion }) => observedVersion),
    ...judgeExpansion(facts.kubeVirts),
  ];
}

/** Machines are started, typed to and looked at by what virt-api serves: an aggregated API, which comes and goes with its pods. */
function judgeSubresources(served: ClusterFacts['served']): Finding[] {
  if (!served.get('kubevirt.io/v1')?.has('virtualmachines')) return [];
  if ((served.get('subresources.kubevirt.io/v1')?.size ?? 0) > 0) return [];
  return [
    {
      what: 'KubeVirt serves no subresources: machines cannot be started, and their screens cannot be seen.',
      severity: 'error',
      howToFix: 'See why virt-api does not run: kubectl get apiservices v1.subresources.kubevirt.io -o yaml.',
    },
  ];
}

/** Disks that grow over their parent grow when their machine starts; KubeVirt does that by a gate before 1.9. */
function judgeExpansion(kubeVirts: ClusterFacts['kubeVirts']): Finding[] {
  const [installed] = kubeVirts === 'unreadable' ? [] : kubeVirts.known;
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(installed?.status?.observedKubeVirtVersion ?? '') ?? [];
  // For an even older version only that is reported.
  const isBefore = Number(major) === 1 && Number(minor) >= LEAST.KubeVirt[1] && Number(minor) < 9;
  const gates = installed?.spec?.configuration?.developerConfiguration?.featureGates ?? [];
  if (!isBefore || gates.includes('ExpandDisks')) return [];
  return [
    {
      what: 'KubeVirt does not let disks grow: the feature gate ExpandDisks is off.',
      severity: 'warning',
      howToFix: 'Add ExpandDisks to the featureGates of the KubeVirt object, or ask for no more than the parent has.',
    },
  ];
}

/** A product that is absent as a whole is reported once. */
function judgeKinds(served: ClusterFacts['served'], kinds: typeof KINDS): Finding[] {
  const absent = kinds.filter(([group, resource]) => served.get(group)?.has(resource) === false);
  const groups = absent.map(([group]) => group);
  return absent
    .filter(([group], index) => groups.indexOf(group) === index)
    .map(([, , what, howToFix]) => ({ what: `${what}.`, severity: 'error', howToFix }));
}

/** Object that reports the status of a product. */
const INSTALLATIONS = {
  KubeVirt: { list: 'kubeVirts', plural: 'kubevirts', served: ['kubevirt.io/v1', 'virtualmachines'] },
  CDI: { list: 'cdis', plural: 'cdis', served: ['cdi.kubevirt.io/v1beta1', 'datavolumes'] },
} as const;

type Installed = {
  readonly phase?: string;
  readonly observedKubeVirtVersion?: string;
  readonly observedVersion?: string;
};

function judgeInstallation(
  product: keyof typeof INSTALLATIONS,
  facts: ClusterFacts,
  versionOf: (status: Installed) => string | undefined,
): Finding[] {
  const { list, plural, served } = INSTALLATIONS[product];
  const objects: Read<readonly { readonly status?: Installed }[]> = facts[list];
  const error = (what: string, howToFix: string): Finding => ({ what, severity: 'error', howToFix });
  if (objects === 'unreadable') {
    const howToFix = `Grant the scheduler the right to list ${plural}.`;
    return [
      { what: `The version of ${product} is unknown: the scheduler may not read it.`, severity: 'warning', howToFix },
    ];
  }
  const look = `See why its operator has not finished: kubectl get ${plural} -A -o yaml.`;
  const [installed] = objects.known;
  if (installed === undefined) {
    // Missing kinds have already reported its absence.
    if (!facts.served.get(served[0])?.has(served[1])) return [];
    const howToFix = `Create the ${product} object that its operator installs it by.`;
    return [error(`${product} is not installed: its kinds are there, but no ${product} object.`, howToFix)];
  }
  const { status = {} } = installed;
  if (status.phase !== 'Deployed') {
    const state = status.phase ? `it is ${status.phase}` : 'its operator has not reported a status yet';
    return [error(`${product} is not ready: ${state}.`, look)];
  }
  const version = versionOf(status);
  return version ? judgeVersion(product, version) : [error(`${product} does not report its version.`, look)];
}

function judgeVersion(product: Product, text: string): Finding[] {
  const least = LEAST[product];
  const needed = `${product} ${least.join('.')} or newer`;
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(text) ?? [];
  if (major === undefined || minor === undefined) {
    const what = `The version of ${product} is unknown: it reports "${text}".`;
    return [{ what, severity: 'warning', howToFix: `Make sure that it is ${needed}.` }];
  }
  const isOld = Number(major) < least[0] || (Number(major) === least[0] && Number(minor) < least[1]);
  return isOld ? [{ what: `${product} ${text} is too old.`, severity: 'error', howToFix: `Install ${needed}.` }] : [];
}
