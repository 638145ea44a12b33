import { timestamp } from '../api/objects.ts';
import { type DesiredCondition, dropCondition, setCondition } from './conditions.ts';
import { type ControllerContext, isOwnedBy } from './context.ts';
import type { Vmi, VmiPhase, VmiStatus } from './kubevirt-types.ts';

/** The one node. */
export const NODE_NAME = 'slipway-embedded';

/** A change of the status of a VMI. */
export interface VmiChange {
  readonly phase: VmiPhase;
  readonly reason?: string;
  readonly conditions?: readonly DesiredCondition[];
  /** Conditions that are either True or absent. */
  readonly drop?: readonly string[];
}

/** Writes a VMI's status; the status is part of the object, as KubeVirt has no status subresource here. */
export async function writeVmiStatus(context: ControllerContext, vmi: Vmi, change: VmiChange): Promise<void> {
  const { store, clock } = context;
  if (store.get('VirtualMachineInstance', vmi.metadata)?.metadata.uid !== vmi.metadata.uid) return;
  const now = timestamp(clock.now());
  await store.mutate<Vmi>('VirtualMachineInstance', vmi.metadata, (draft) => {
    const status: VmiStatus = draft.status ?? {};
    draft.status = status;
    if (status.phase !== change.phase) {
      const before = status.phaseTransitionTimestamps ?? [];
      status.phaseTransitionTimestamps = [...before, { phase: change.phase, phaseTransitionTimestamp: now }];
    }
    status.phase = change.phase;
    if (change.reason !== undefined) status.reason = change.reason;
    if (change.phase === 'Running') describeRunning(draft, status, podAddress(context, vmi));
    if (change.phase === 'Scheduled' || change.phase === 'Running') {
      status.nodeName = NODE_NAME;
      draft.metadata.labels = { ...draft.metadata.labels, 'kubevirt.io/nodeName': NODE_NAME };
    }
    for (const type of change.drop ?? []) dropCondition(status, type);
    for (const condition of change.conditions ?? []) setCondition(status, condition, now);
  });
}

/** The address of the machine's pod on the pod network. */
function podAddress({ store }: ControllerContext, vmi: Vmi): string | undefined {
  const pod = store.list('Pod', { namespace: vmi.metadata.namespace }).find((found) => isOwnedBy(found, vmi));
  return pod?.status?.['podIP'] as string | undefined;
}

/** Guest data of KubeVirt without an agent; addresses of secondary networks are not among it. */
function describeRunning(vmi: Vmi, status: VmiStatus, podIp: string | undefined): void {
  const { domain, networks = [], volumes = [] } = vmi.spec;
  const isOnPodNetwork = (name: string) => networks.some((network) => network.name === name && network.pod);
  const machine = domain.machine?.type ?? 'q35';
  status['machine'] = { type: machine };
  status['interfaces'] = (domain.devices.interfaces ?? []).map(({ name, macAddress }) => ({
    name,
    ...(macAddress === undefined ? {} : { mac: macAddress }),
    ...(podIp !== undefined && isOnPodNetwork(name)
      ? { ipAddress: podIp, ipAddresses: [podIp], infoSource: 'domain' }
      : { infoSource: 'domain, multus-status' }),
    queueCount: 1,
  }));
  status['volumeStatus'] = volumes.map(({ name }, index) => ({ name, target: `vd${String.fromCharCode(97 + index)}` }));
  status['memory'] ??= { guestAtBoot: domain.memory?.guest ?? domain.resources?.requests?.memory };
  status['guestOSInfo'] ??= {};
}

const EVICTION_REQUESTED = {
  type: 'EvictionRequested',
  status: 'True',
  reason: 'EvictionRequested',
  message: 'VMI is marked for eviction',
} as const;

const NOT_MIGRATABLE = 'The embedded cluster has one node';

/** Why a guest is held: KubeVirt's reasons and messages of the condition `Paused`. */
const PAUSES = {
  PausedByUser: 'VMI was paused by user',
  PausedIOError: 'VMI was paused, low-level IO error detected',
} as const;

export type Pause = keyof typeof PAUSES;

/** KubeVirt makes no launcher pod while a claim is missing, so the VMI is neither ready nor has a node. */
const NO_POD = 'virt-launcher pod has not yet been scheduled';
export const WITHOUT_POD = [
  { type: 'Ready', status: 'False', reason: 'PodNotExists', message: NO_POD },
  { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: NO_POD },
] as const;

interface GuestState {
  readonly paused: Pause | undefined;
  /** It was asked to leave its node. */
  readonly isToLeave: boolean;
}

/** The conditions of a guest that runs, or that is held. */
export function runningConditions({ paused, isToLeave }: GuestState): DesiredCondition[] {
  return [
    ...(isToLeave ? [EVICTION_REQUESTED] : []),
    ...(paused ? [{ type: 'Paused', status: 'True', reason: paused, message: PAUSES[paused] } as const] : []),
    paused
      ? { type: 'Ready', status: 'False', reason: 'GuestNotRunning', message: 'Guest VM is not reported as running' }
      : { type: 'Ready', status: 'True' },
    { type: 'LiveMigratable', status: 'False', reason: 'DisksNotLiveMigratable', message: NOT_MIGRATABLE },
    { type: 'StorageLiveMigratable', status: 'False', reason: 'DisksNotLiveMigratable', message: NOT_MIGRATABLE },
    { type: 'DataVolumesReady', status: 'True', reason: 'AllDVsReady', message: "All of the VMI's DVs are bound" },
  ];
}
