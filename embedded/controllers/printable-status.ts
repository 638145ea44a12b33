import { findCondition } from './conditions.ts';
import type { RunStrategy, Vm, Vmi, VmiPhase } from './kubevirt-types.ts';

/** Input of `printableStatus`. */
export interface PrintableInput {
  readonly vm: Vm;
  readonly vmi: Vmi | undefined;
  readonly strategy: RunStrategy;
  /** Worst state among the VM's DataVolumes. */
  readonly dataVolumes: 'ready' | 'working' | 'failed';
  readonly isStartPending: boolean;
}

type Rule = readonly [name: string, applies: (input: PrintableInput) => boolean];

const ACTIVE: readonly (VmiPhase | undefined)[] = [undefined, '', 'Pending', 'Scheduling', 'Scheduled'];

function isActive(vmi: Vmi | undefined): boolean {
  return vmi !== undefined && vmi.metadata.deletionTimestamp === undefined && ACTIVE.includes(vmi.status?.phase);
}

function isSynchronizedFalse(vmi: Vmi | undefined, reason: string): boolean {
  return findCondition(vmi?.status, 'Synchronized')?.reason === reason;
}

/** First match wins; the order is KubeVirt's (vm.go, setPrintableStatus). Meant for people only. */
const RULES: readonly Rule[] = [
  ['Terminating', ({ vm }) => vm.metadata.deletionTimestamp !== undefined],
  ['Stopping', ({ vmi }) => vmi?.metadata.deletionTimestamp !== undefined],
  ['Paused', ({ vmi }) => findCondition(vmi?.status, 'Paused')?.status === 'True'],
  ['Running', ({ vmi }) => vmi?.status?.phase === 'Running'],
  ['ErrorPvcNotFound', ({ vmi }) => isSynchronizedFalse(vmi, 'FailedPvcNotFound')],
  ['DataVolumeError', ({ dataVolumes }) => dataVolumes === 'failed'],
  [
    'Provisioning',
    ({ dataVolumes, vmi, isStartPending }) => dataVolumes === 'working' && (isActive(vmi) || isStartPending),
  ],
  ['Starting', ({ vmi, isStartPending }) => isActive(vmi) || isStartPending],
  ['CrashLoopBackOff', ({ vm, strategy }) => vm.status?.startFailure !== undefined && strategy !== 'Halted'],
  ['Stopped', ({ vmi }) => vmi === undefined || vmi.status?.phase === 'Succeeded' || vmi.status?.phase === 'Failed'],
];

/** `status.printableStatus` of a VM. */
export function printableStatus(input: PrintableInput): string {
  return RULES.find(([, applies]) => applies(input))?.[0] ?? 'Unknown';
}
