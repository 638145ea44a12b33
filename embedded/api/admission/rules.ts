import type { KindAdmission } from './admission.ts';
import { claimAdmission, configMapAdmission, podAdmission, secretAdmission } from './core.ts';
import { dataVolumeAdmission } from './data-volume.ts';
import { egressGatewayAdmission, networkAttachmentAdmission, subnetAdmission, vpcAdmission } from './kube-ovn.ts';
import { namespaceAdmission } from './namespace.ts';
import { networkPolicyAdmission, serviceAdmission } from './networking.ts';
import { instanceAdmission, virtualMachineAdmission } from './virtual-machine.ts';
import { volumeSnapshotAdmission, volumeSnapshotContentAdmission } from './volume-snapshot.ts';

/** Processing of a client's write before it is stored, by kind. Controllers write to the store directly. */
export const ADMISSION: Readonly<Record<string, KindAdmission>> = {
  ConfigMap: configMapAdmission,
  DataVolume: dataVolumeAdmission,
  Namespace: namespaceAdmission,
  NetworkAttachmentDefinition: networkAttachmentAdmission,
  NetworkPolicy: networkPolicyAdmission,
  PersistentVolumeClaim: claimAdmission,
  Pod: podAdmission,
  Secret: secretAdmission,
  Service: serviceAdmission,
  Subnet: subnetAdmission,
  VirtualMachine: virtualMachineAdmission,
  VirtualMachineInstance: instanceAdmission,
  VolumeSnapshot: volumeSnapshotAdmission,
  VolumeSnapshotContent: volumeSnapshotContentAdmission,
  Vpc: vpcAdmission,
  VpcEgressGateway: egressGatewayAdmission,
};
