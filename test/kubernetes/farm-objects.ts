import type { LayerSpec } from '../../common/contracts/layers.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { buildScope } from '../../workers/cluster/build-scope.ts';
import { buildVm } from '../../workers/machines/build-vm.ts';
import { wire } from '../../workers/networks/kube-ovn.ts';
import {
  attachmentObjects,
  gatewayObject,
  relayObject,
  subnetObject,
  vpcObject,
} from '../../workers/networks/network-objects.ts';
import { clusterConfig } from '../harness/api-server.ts';
import { compiledModule } from '../harness/module-factory.ts';
import { stagePhase } from '../harness/phase-context.ts';

const MIB = 1024 ** 2;

/** A kind, and a whole object of it as the farm makes it. */
export interface FarmObject {
  readonly resource: Resource;
  readonly object: KubernetesObject;
}

/** One object of each kind that the farm creates, all under one name. */
export function farmObjects(kubeconfig: string, name: string): FarmObject[] {
  const config = clusterConfig(kubeconfig, { namespace: 'slipway' });
  const scope = buildScope(stagePhase({ clusterConfig: config, spec: SPEC, vm: 'vm', phase: 'boot-keystrokes' }));
  const [office] = SPEC.network.subnets;
  if (!office) throw new Error('The module has a subnet.');
  const storage = { resources: { requests: { storage: '1Gi' } } };
  const objects: readonly (readonly [Resource, KubernetesObject | undefined])[] = [
    [RESOURCES.machines, buildVm(scope, wire(scope, scope.plan.nics))],
    [RESOURCES.vpcs, vpcObject(scope, 'lab')],
    [RESOURCES.subnets, subnetObject(scope, office)],
    ...attachmentObjects(scope, 'office').map((object) => [RESOURCES.networkAttachments, object] as const),
    [RESOURCES.egressGateways, gatewayObject(scope, 'lab', 'external')],
    [RESOURCES.pods, relayObject(scope, 'lab', { image: 'slipway:1', maxFileBytes: MIB })],
    [RESOURCES.secrets, { type: 'Opaque', data: { userdata: 'eA==' } } as KubernetesObject],
    [RESOURCES.configMaps, { data: { 'user-data': 'x' } } as KubernetesObject],
    [RESOURCES.dataVolumes, { spec: { source: { http: { url: 'http://x/y' } }, storage } } as KubernetesObject],
    [RESOURCES.claims, { spec: { accessModes: ['ReadWriteOnce'], ...storage } } as KubernetesObject],
    [RESOURCES.snapshots, { spec: { source: { persistentVolumeClaimName: 'a' } } } as KubernetesObject],
  ];
  return objects.flatMap(([resource, object]) =>
    object ? [{ resource, object: { ...object, metadata: { ...object.metadata, name } } }] : [],
  );
}

const disk = { bus: 'virtio', storageClass: null, origin: { kind: 'blank' } } as const;
const subnet = {
  name: 'office',
  vpc: 'lab',
  cidr: '10.9.0.0/24',
  gateway: '10.9.0.1',
  dhcp: true,
  unmanaged: false,
} as const;
const nic = {
  name: 'up',
  subnet: 'office',
  model: 'e1000',
  slot: 1,
  mac: '02:00:00:00:00:01',
  ip: '10.9.0.5',
} as const;

const SPEC: LayerSpec = {
  schema: 1,
  layerKey: 'ef'.repeat(32),
  module: compiledModule({
    name: 'm',
    vms: [
      {
        name: 'vm',
        resources: { cpu: 1, memoryBytes: 512 * MIB },
        firmware: { kind: 'efi', secureBoot: true, tpm: true },
      },
    ],
  }),
  vms: [
    {
      ...{ name: 'vm', isos: [], cpu: 2.5, memoryBytes: 4096 * MIB, nics: [nic], templateNics: [nic] },
      disks: [
        { ...disk, name: 'root', sizeBytes: MIB },
        { ...disk, name: 'data', sizeBytes: MIB, bus: 'scsi' },
      ],
    },
  ],
  network: {
    vpcs: [{ name: 'lab', internet: true }],
    subnets: [{ ...subnet, dns: [], relay: '10.9.0.254', egress: '10.9.0.253' }],
  },
  fileHashes: {},
  objects: {},
};
