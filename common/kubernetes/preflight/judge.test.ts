import { expect, test } from 'vitest';
import { DEFAULT_RELAY_IMAGE } from '../../config/cluster-options.ts';
import type { ClusterFacts } from './cluster-facts.ts';
import { type JudgedConfig, judge } from './judge.ts';

const CONFIG: JudgedConfig = {
  namespace: 'slipway',
  externalSubnet: 'external',
  relayImage: 'registry.example.com/slipway:1',
};

const marks = (annotation: string) => ({ annotations: { [annotation]: 'true' } });
const FILES = {
  metadata: { name: 'files', ...marks('storageclass.kubernetes.io/is-default-class') },
  ...{ provisioner: 'csi.example', allowVolumeExpansion: true },
};
const SNAPSHOTS = { metadata: { name: 'snap', ...marks('snapshot.storage.kubernetes.io/is-default-class') } };

const EXTERNAL = { metadata: { name: 'external' } };

/** A cluster that has everything. */
const FIT: ClusterFacts = {
  kubernetes: 'v1.32.0+k3s1',
  served: new Map([
    ['kubevirt.io/v1', new Set(['virtualmachines'])],
    ['subresources.kubevirt.io/v1', new Set(['virtualmachines/start'])],
    ['cdi.kubevirt.io/v1beta1', new Set(['datavolumes'])],
    ['snapshot.storage.k8s.io/v1', new Set(['volumesnapshots'])],
    ['k8s.cni.cncf.io/v1', new Set(['network-attachment-definitions'])],
    ['kubeovn.io/v1', new Set(['subnets', 'vpc-egress-gateways'])],
  ]),
  namespace: { known: { metadata: { name: 'slipway' } } },
  quotas: { known: [] },
  kubeVirts: { known: [{ status: { phase: 'Deployed', observedKubeVirtVersion: 'v1.9.0' } }] },
  cdis: { known: [{ status: { phase: 'Deployed', observedVersion: 'v1.65.0' } }] },
  storageClasses: { known: [FILES] },
  snapshotClasses: { known: [{ ...SNAPSHOTS, driver: 'csi.example' }] },
  storageProfiles: { known: [{ metadata: { name: 'files' }, status: { claimPropertySets: [{}] } }] },
  subnets: {
    known: [EXTERNAL, { metadata: { name: 'ovn-default' }, spec: { default: true }, status: { v4usingIPs: 12 } }],
  },
  refusedRights: { known: [] },
};

const withServed = (group: string, ...resources: string[]): Partial<ClusterFacts> => ({
  served: new Map([...FIT.served, [group, new Set(resources)]]),
});
const virtDefault = marks('storageclass.kubevirt.io/is-default-virt-class');
const other = {
  metadata: { name: 'other', ...virtDefault },
  ...{ provisioner: 'other.example', allowVolumeExpansion: true },
};

const enforcing = (level: string): Partial<ClusterFacts> => ({
  namespace: { known: { metadata: { name: 'slipway', labels: { 'pod-security.kubernetes.io/enforce': level } } } },
});
const withQuota = (hard: Record<string, string>, scopes?: string[]): Partial<ClusterFacts> => ({
  quotas: { known: [{ metadata: { name: 'small' }, spec: { hard, ...(scopes ? { scopes } : {}) } }] },
});

const BARE = { bareBinding: 'bare' };
const withBinding = (domainAttachmentType: string) => ({
  spec: { configuration: { network: { binding: { bare: { domainAttachmentType } } } } },
  status: { phase: 'Deployed', observedKubeVirtVersion: 'v1.9.0' },
});

test('finds nothing wrong with a cluster that has everything', () => {
  expect(judge(FIT, CONFIG)).toEqual([]);
  const bare = { ...FIT, kubeVirts: { known: [withBinding('managedTap')] } };
  expect(judge(bare, { ...CONFIG, ...BARE })).toEqual([]);
});

test.each<[string, 'error' | 'warning', RegExp, Partial<ClusterFacts>, Partial<JudgedConfig>]>([
  ['an old Kubernetes', 'error', /^Kubernetes v1.26.3 is too old/, { kubernetes: 'v1.26.3' }, {}],
  [
    'no KubeVirt',
    'error',
    /^KubeVirt is not installed/,
    { ...withServed('kubevirt.io/v1'), kubeVirts: { known: [] } },
    {},
  ],
  ['a binding that KubeVirt does not know', 'error', /^KubeVirt does not know the network binding "bare"/, {}, BARE],
  [
    'one of another type',
    'error',
    /^KubeVirt has by another type \(tap\) the network binding "bare"/,
    { kubeVirts: { known: [withBinding('tap')] } },
    BARE,
  ],
  [
    'an old KubeVirt',
    'error',
    /^KubeVirt v1.6.2 is too old/,
    { kubeVirts: { known: [{ status: { phase: 'Deployed', observedKubeVirtVersion: 'v1.6.2' } }] } },
    {},
  ],
  [
    'a KubeVirt built by hand',
    'warning',
    /reports "devel"/,
    { kubeVirts: { known: [{ status: { phase: 'Deployed', observedKubeVirtVersion: 'devel' } }] } },
    {},
  ],
  [
    'a KubeVirt that is being installed',
    'error',
    /^KubeVirt is not ready: it is Deploying/,
    { kubeVirts: { known: [{ status: { phase: 'Deploying', observedKubeVirtVersion: 'v1.9.0' } }] } },
    {},
  ],
  [
    'kinds of KubeVirt without KubeVirt',
    'error',
    /^KubeVirt is not installed: its kinds are there, but no KubeVirt object/,
    { kubeVirts: { known: [] } },
    {},
  ],
  [
    'a KubeVirt whose operator has not begun',
    'error',
    /^KubeVirt is not ready: its operator has not reported a status/,
    { kubeVirts: { known: [{}] } },
    {},
  ],
  [
    'a KubeVirt without a version',
    'error',
    /^KubeVirt does not report its version/,
    { kubeVirts: { known: [{ status: { phase: 'Deployed', observedKubeVirtVersion: '' } }] } },
    {},
  ],
  [
    'a virt-api that is down',
    'error',
    /^KubeVirt serves no subresources/,
    withServed('subresources.kubevirt.io/v1'),
    {},
  ],
  [
    'a KubeVirt that lets no disk grow',
    'warning',
    /^KubeVirt does not let disks grow/,
    { kubeVirts: { known: [{ status: { phase: 'Deployed', observedKubeVirtVersion: 'v1.8.1' } }] } },
    {},
  ],
  ['kinds of CDI without CDI', 'error', /^CDI is not installed: its kinds are there/, { cdis: { known: [] } }, {}],
  [
    'two default snapshot classes of one driver',
    'error',
    /has 2 default snapshot classes/,
    {
      snapshotClasses: {
        known: ['a', 'b'].map((name) => ({ metadata: { ...SNAPSHOTS.metadata, name }, driver: 'csi.example' })),
      },
    },
    {},
  ],
  [
    'a snapshot class that retains',
    'warning',
    /retains what is deleted/,
    { snapshotClasses: { known: [{ ...SNAPSHOTS, driver: 'csi.example', deletionPolicy: 'Retain' }] } },
    {},
  ],
  ['a KubeVirt that may not be read', 'warning', /version of KubeVirt is unknown/, { kubeVirts: 'unreadable' }, {}],
  [
    'an old CDI',
    'error',
    /^CDI v1.64.1 is too old/,
    { cdis: { known: [{ status: { phase: 'Deployed', observedVersion: 'v1.64.1' } }] } },
    {},
  ],
  ['no snapshots', 'error', /^VolumeSnapshots are not served/, withServed('snapshot.storage.k8s.io/v1'), {}],
  ['no Multus', 'error', /^Multus is not installed/, withServed('k8s.cni.cncf.io/v1'), {}],
  ['no KubeOVN', 'error', /^KubeOVN is not installed/, withServed('kubeovn.io/v1'), { network: 'kube-ovn' }],
  ['an old KubeOVN', 'error', /^KubeOVN is older than 1.14/, withServed('kubeovn.io/v1', 'subnets'), {}],
  ['no namespace', 'error', /^The farm namespace "slipway" does not exist/, { namespace: { known: undefined } }, {}],
  ['a namespace that may not be read', 'warning', /^Whether the namespace/, { namespace: 'unreadable' }, {}],
  ['no such storage class', 'error', /^The storage class "fast" does not exist/, {}, { storageClass: 'fast' }],
  [
    'no default storage class',
    'error',
    /^No storage class is the default/,
    { storageClasses: { known: [{ metadata: { name: 'files' } }] } },
    {},
  ],
  [
    'a default for machines without snapshots',
    'error',
    /^The driver "other.example" has no snapshot class/,
    {
      storageClasses: { known: [FILES, other] },
      storageProfiles: { known: [{ metadata: { name: 'other' }, status: { claimPropertySets: [{}] } }] },
    },
    {},
  ],
  [
    'a profile without access modes',
    'error',
    /^CDI does not know which access modes/,
    { storageProfiles: { known: [] } },
    {},
  ],
  ['no such snapshot class', 'error', /has no snapshot class "fast"/, {}, { snapshotClass: 'fast' }],
  [
    'no default snapshot class',
    'error',
    /^No snapshot class of the driver "csi.example" is its default/,
    { snapshotClasses: { known: [{ metadata: { name: 'snap' }, driver: 'csi.example' }] } },
    {},
  ],
  ['storage that may not be read', 'warning', /^Storage classes may not be read/, { storageClasses: 'unreadable' }, {}],
  ['no such external subnet', 'error', /^The external subnet "external" does not/, { subnets: { known: [] } }, {}],
  [
    'KubeOVN as a secondary network',
    'warning',
    /^No pod has an address of KubeOVN’s default subnet "ovn-default"/,
    {
      subnets: {
        known: [EXTERNAL, { metadata: { name: 'ovn-default' }, spec: { default: true }, status: { v4usingIPs: 0 } }],
      },
    },
    {},
  ],
  [
    'a namespace that takes no gateways',
    'error',
    /enforces the pod security standard "baseline"/,
    enforcing('baseline'),
    {},
  ],
  ['a restricted one', 'error', /enforces the pod security standard "restricted"/, enforcing('restricted'), {}],
  [
    'a quota of processors below a relay',
    'error',
    /^The quota "small" .* allows limits.cpu: 500m, and a relay alone takes 1:/,
    withQuota({ 'limits.cpu': '500m', 'limits.memory': '64Gi' }),
    {},
  ],
  ['a quota of memory below a relay', 'error', /allows memory: 32Mi, and/, withQuota({ memory: '32Mi' }), {}],
  [
    'a class that does not expand',
    'warning',
    /^Volumes of the storage class "files" cannot be expanded/,
    { storageClasses: { known: [{ ...FILES, allowVolumeExpansion: false }] } },
    {},
  ],
  ['the default relay image', 'warning', /^The relay image is the default/, {}, { relayImage: DEFAULT_RELAY_IMAGE }],
  [
    'a missing right',
    'error',
    /^Rights are missing: list vpcs \(kubeovn.io\) everywhere, get pods\/log\./,
    {
      refusedRights: {
        known: [
          { verb: 'list', group: 'kubeovn.io', path: 'vpcs', scope: 'cluster' },
          { verb: 'get', group: '', path: 'pods/log', scope: 'namespaced' },
        ],
      },
    },
    {},
  ],
  [
    'rights that are not known',
    'warning',
    /^Whether all rights are granted is unknown/,
    { refusedRights: 'unreadable' },
    {},
  ],
])('reports %s as an %s, with its remedy', (_what, severity, what, facts, config) => {
  const findings = judge({ ...FIT, ...facts }, { ...CONFIG, ...config });
  expect(findings).toEqual([{ what: expect.stringMatching(what), severity, howToFix: expect.stringMatching(/\.$/) }]);
});

test.each<[string, Partial<ClusterFacts>, Partial<JudgedConfig>]>([
  ['quotas that leave room', withQuota({ 'limits.cpu': '1', memory: '64Mi', pods: '10', 'count/secrets': '0' }), {}],
  ['quotas of what ends by itself', withQuota({ 'limits.cpu': '1m' }, ['Terminating']), {}],
  ['quotas that may not be read, a missing right', { quotas: 'unreadable' }, {}],
  ['privileged namespaces', enforcing('privileged'), {}],
  ['restricted ones, where no gateway comes', enforcing('restricted'), { network: 'pod' }],
])('reports nothing of %s', (_what, facts, config) => {
  expect(judge({ ...FIT, ...facts }, { ...CONFIG, ...config })).toEqual([]);
});

test('warns where no external subnet is configured', () => {
  const { externalSubnet: _, ...config } = CONFIG;
  expect(judge(FIT, config)).toMatchObject([{ severity: 'warning', what: expect.stringContaining('internet') }]);
});

test('reports errors before warnings', () => {
  const facts: ClusterFacts = { ...FIT, kubeVirts: 'unreadable', namespace: { known: undefined } };
  expect(judge(facts, CONFIG).map(({ severity }) => severity)).toEqual(['error', 'warning']);
});

test('asks nothing of KubeOVN and Multus where machines are on the pod network', () => {
  const { externalSubnet: _, ...config } = CONFIG;
  const served = new Map(
    [...FIT.served].map(([group, kinds]) => [group, /kubeovn|cncf/.test(group) ? new Set<string>() : kinds]),
  );
  expect(judge({ ...FIT, served }, config)).toEqual([]);
  expect(judge(FIT, { ...config, network: 'pod' })).toEqual([]);
  expect(judge({ ...FIT, served }, { ...config, network: 'kube-ovn' }).map(({ what }) => what.split(' ')[0])).toEqual([
    ...['Multus', 'KubeOVN', 'No'],
  ]);
});
