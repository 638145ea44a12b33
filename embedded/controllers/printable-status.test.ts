import { expect, test } from 'vitest';
import type { Vm, Vmi, VmiPhase } from './kubevirt-types.ts';
import { type PrintableInput, printableStatus } from './printable-status.ts';

const template = { spec: { domain: { devices: {} } } };
const vm: Vm = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'box' }, spec: { template } };

function vmi(phase: VmiPhase, changes: Partial<Vmi['metadata']> = {}, condition?: [type: string, reason: string]): Vmi {
  const conditions = condition ? [{ type: condition[0], status: 'True' as const, reason: condition[1] }] : [];
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'box', ...changes },
    spec: { domain: { devices: {} } },
    status: { phase, conditions },
  };
}

const base: PrintableInput = { vm, vmi: undefined, strategy: 'Manual', dataVolumes: 'ready', isStartPending: false };
const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' };

test.each<[string, Partial<PrintableInput>]>([
  ['Stopped', {}],
  ['Starting', { isStartPending: true }],
  ['Provisioning', { isStartPending: true, dataVolumes: 'working' }],
  ['Stopped', { dataVolumes: 'working' }],
  ['DataVolumeError', { dataVolumes: 'failed' }],
  ['Starting', { vmi: vmi('Scheduled') }],
  ['ErrorPvcNotFound', { vmi: vmi('Pending', {}, ['Synchronized', 'FailedPvcNotFound']) }],
  ['Running', { vmi: vmi('Running') }],
  ['Paused', { vmi: vmi('Running', {}, ['Paused', 'PausedByUser']) }],
  ['Stopping', { vmi: vmi('Running', deleted, ['Paused', 'PausedByUser']) }],
  ['Terminating', { vm: { ...vm, metadata: { name: 'box', ...deleted } }, vmi: vmi('Running') }],
  ['Stopped', { vmi: vmi('Succeeded') }],
])('%s', (expected, input) => {
  expect(printableStatus({ ...base, ...input })).toBe(expected);
});
