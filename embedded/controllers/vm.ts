import { hash } from 'node:crypto';
import { type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import { type DesiredCondition, findCondition, setCondition } from './conditions.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  isOwnedBy,
  keyText,
  ownerReference,
  queueFor,
  removeFinalizers,
  uidOf,
} from './context.ts';
import type { Vm, Vmi, VmiSpec } from './kubevirt-types.ts';
import { printableStatus } from './printable-status.ts';
import { decide, pendingRequests, startBackoffMs, strategyOf } from './run-strategy.ts';
import type { WorkQueue } from './work-queue.ts';

const VM_FINALIZER = 'kubevirt.io/virtualMachineControllerFinalize';
const NO_EARLY_VOLUMES = 'kubevirt.io/immediate-data-volume-creation';

/** VirtualMachines: their DataVolumes, their one VMI as the run strategy wants it, and their status. */
export class VmController {
  readonly #context: ControllerContext;
  readonly #queue: WorkQueue;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#queue = queueFor(context, 'VirtualMachine', (key) => this.#reconcile(key));
    const wakeOwner = ({ object }: { readonly object: KubeObject }) => {
      for (const owner of object.metadata.ownerReferences ?? []) {
        if (owner.kind !== 'VirtualMachine') continue;
        this.#queue.add(keyText({ namespace: object.metadata.namespace, name: owner.name }));
      }
    };
    context.store.subscribe(['VirtualMachineInstance', 'DataVolume'], wakeOwner, context.signal);
  }

  async #reconcile(key: ObjectKey): Promise<void> {
    const { store } = this.#context;
    const vm = store.get<Vm>('VirtualMachine', key);
    if (!vm) return;
    const vmi = this.#instance(vm);
    if (isDeleting(vm)) {
      if (vmi) await this.#stop(vm, vmi);
      else await removeFinalizers(store, vm, [VM_FINALIZER]);
      if (vmi) await this.#writeStatus(vm);
      return;
    }
    await ensureFinalizer(store, vm, VM_FINALIZER);
    await this.#converge(vm, vmi);
    await this.#writeStatus(vm);
  }

  /** The VMI of the VM's name, if it is the VM's. */
  #instance(vm: Vm): Vmi | undefined {
    const vmi = this.#context.store.get<Vmi>('VirtualMachineInstance', vm.metadata);
    return vmi && isOwnedBy(vmi, vm) ? vmi : undefined;
  }

  async #converge(vm: Vm, vmi: Vmi | undefined): Promise<void> {
    const strategy = strategyOf(vm);
    const requests = vm.status?.stateChangeRequests ?? [];
    const seen = vmi && { uid: uidOf(vmi), phase: vmi.status?.phase ?? '', isDeleting: isDeleting(vmi) };
    const decision = decide({ strategy, requests, vmi: seen });
    const wantsToRun = decision.action === 'start' || vmi !== undefined;
    const isEarly = vm.metadata.annotations?.[NO_EARLY_VOLUMES] !== 'false';
    if (isEarly || wantsToRun) await this.#ensureDataVolumes(vm);
    if (decision.action === 'stop' && vmi) {
      await this.#noteFailure(vm, vmi);
      await this.#stop(vm, vmi);
    }
    if (decision.action === 'enable') {
      await this.#context.store.mutate<Vm>('VirtualMachine', vm.metadata, ({ spec }) => {
        delete spec.running;
        spec.runStrategy = 'Always';
      });
    }
    if (decision.action !== 'start') return;
    const waitMs = Date.parse(vm.status?.startFailure?.retryAfterTimestamp ?? '') - this.#context.clock.now();
    if (waitMs > 0) return this.#queue.add(keyText(vm.metadata), waitMs);
    if (this.#dataVolumeState(vm) === 'failed') return;
    await this.#create(vm, decision.isPaused);
  }

  async #ensureDataVolumes(vm: Vm): Promise<void> {
    const { store, events } = this.#context;
    const { namespace } = vm.metadata;
    for (const template of vm.spec.dataVolumeTemplates ?? []) {
      if (store.get('DataVolume', { namespace, name: template.metadata.name })) continue;
      await store.create({
        apiVersion: 'cdi.kubevirt.io/v1beta1',
        kind: 'DataVolume',
        metadata: {
          ...template.metadata,
          ...(namespace === undefined ? {} : { namespace }),
          labels: { ...template.metadata.labels, 'kubevirt.io/created-by': uidOf(vm) },
          ownerReferences: [ownerReference(vm)],
        },
        spec: structuredClone(template.spec),
      });
      const message = `Created DataVolume ${template.metadata.name}`;
      events.record(vm, { type: 'Normal', reason: 'SuccessfulDataVolumeCreate', message });
    }
  }

  async #create(vm: Vm, isPaused: boolean): Promise<void> {
    const { store, events } = this.#context;
    await store.create<Vmi>({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: {
        name: vm.metadata.name,
        ...(vm.metadata.namespace === undefined ? {} : { namespace: vm.metadata.namespace }),
        labels: { ...vm.spec.template.metadata?.labels, 'kubevirt.io/vm': vm.metadata.name },
        annotations: { ...vm.spec.template.metadata?.annotations },
        finalizers: [VM_FINALIZER],
        ownerReferences: [ownerReference(vm)],
      },
      spec: { ...instanceSpec(vm), ...(isPaused ? { startStrategy: 'Paused' } : {}) },
      status: {},
    });
    const message = `Started the virtual machine by creating the new virtual machine instance ${vm.metadata.name}`;
    events.record(vm, { type: 'Normal', reason: 'SuccessfulCreate', message });
  }

  /** Deletes the VMI; the VM's own finalizer on it is removed as soon as its last phase has been seen. */
  async #stop(vm: Vm, vmi: Vmi): Promise<void> {
    const { store, events } = this.#context;
    if (!isDeleting(vmi)) {
      await store.delete('VirtualMachineInstance', vmi.metadata);
      const message = `Stopped the virtual machine by deleting the virtual machine instance ${vmi.metadata.name}`;
      events.record(vm, { type: 'Normal', reason: 'SuccessfulDelete', message });
    }
    const phase = store.get<Vmi>('VirtualMachineInstance', vmi.metadata)?.status?.phase;
    if (phase === 'Succeeded' || phase === 'Failed') await removeFinalizers(store, vmi, [VM_FINALIZER]);
  }

  /** A VMI that failed before it ran delays the next one. */
  async #noteFailure(vm: Vm, vmi: Vmi): Promise<void> {
    const { store, clock } = this.#context;
    const hasRun = vmi.status?.phaseTransitionTimestamps?.some(({ phase }) => phase === 'Running') ?? false;
    const isKnown = vm.status?.startFailure?.lastFailedVMIUID === uidOf(vmi);
    if (vmi.status?.phase !== 'Failed' || isKnown) return;
    await store.updateStatus<Vm>('VirtualMachine', vm.metadata, (status) => {
      if (hasRun) {
        delete status.startFailure;
        return;
      }
      const consecutiveFailCount = (status.startFailure?.consecutiveFailCount ?? 0) + 1;
      const retryAfterTimestamp = timestamp(clock.now() + startBackoffMs(consecutiveFailCount));
      status.startFailure = { consecutiveFailCount, lastFailedVMIUID: uidOf(vmi), retryAfterTimestamp };
    });
  }

  #dataVolumeState(vm: Vm): 'ready' | 'working' | 'failed' {
    const phases = (vm.spec.dataVolumeTemplates ?? []).map(({ metadata }) => {
      const key = { namespace: vm.metadata.namespace, name: metadata.name };
      return this.#context.store.get('DataVolume', key)?.status?.['phase'];
    });
    if (phases.includes('Failed')) return 'failed';
    return phases.every((phase) => phase === 'Succeeded') ? 'ready' : 'working';
  }

  async #writeStatus({ metadata }: Vm): Promise<void> {
    const { store, clock } = this.#context;
    const vm = store.get<Vm>('VirtualMachine', metadata);
    if (!vm) return;
    const vmi = this.#instance(vm);
    // The VMI of a VM that is kept is released here too, when another client has deleted it.
    if (vmi && isDeleting(vmi)) await this.#stop(vm, vmi);
    const strategy = strategyOf(vm);
    const seen = vmi && { uid: uidOf(vmi), phase: vmi.status?.phase ?? '', isDeleting: isDeleting(vmi) };
    const requests = pendingRequests({ requests: vm.status?.stateChangeRequests ?? [], vmi: seen });
    const isStartPending = vmi === undefined && requests.some(({ action }) => action === 'Start');
    const dataVolumes = this.#dataVolumeState(vm);
    const now = timestamp(clock.now());
    await store.updateStatus<Vm>('VirtualMachine', metadata, (status) => {
      // Go's types leave them out where they would be false.
      delete status.created;
      delete status.ready;
      if (vmi) status.created = true;
      if (findCondition(vmi?.status, 'Ready')?.status === 'True') status.ready = true;
      status.printableStatus = printableStatus({ vm, vmi, strategy, dataVolumes, isStartPending });
      status['runStrategy'] = strategy;
      status['observedGeneration'] = vm.metadata.generation;
      status['desiredGeneration'] = vm.metadata.generation;
      if (requests.length > 0) status.stateChangeRequests = [...requests];
      else delete status.stateChangeRequests;
      if (vmi?.status?.phase === 'Running') delete status.startFailure;
      const snapshots = (vm.spec.template.spec.volumes ?? []).map(({ name, ...source }) => {
        const enabled = 'dataVolume' in source || 'persistentVolumeClaim' in source;
        return enabled
          ? { name, enabled }
          : { name, enabled, reason: 'Snapshot is not supported for this volumeSource type' };
      });
      if (snapshots.length > 0) status['volumeSnapshotStatuses'] = snapshots;
      else delete status['volumeSnapshotStatuses'];
      status.conditions = [];
      for (const condition of conditionsFor(vmi)) setCondition(status, condition, transitionTime(vm, condition, now));
    });
  }
}

/** Keeps the time of a condition whose status has not changed. */
function transitionTime(vm: Vm, condition: DesiredCondition, now: string): string {
  const before = findCondition(vm.status, condition.type);
  return before?.status === condition.status ? (before.lastTransitionTime ?? now) : now;
}

/** All conditions of the VMI, and that there is none. */
function conditionsFor(vmi: Vmi | undefined): DesiredCondition[] {
  const copied = (vmi?.status?.conditions ?? []).map(({ type, status, reason, message }) => ({
    type,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
  }));
  if (copied.some(({ type }) => type === 'Ready')) return copied;
  return [{ type: 'Ready', status: 'False', reason: 'VMINotExists', message: 'VMI does not exist' }, ...copied];
}

/** The instance's specification with what KubeVirt's admission would have filled in. */
function instanceSpec(vm: Vm): VmiSpec & { [field: string]: unknown } {
  const spec = structuredClone(vm.spec.template.spec);
  const { domain } = spec;
  domain.firmware = { ...domain.firmware, uuid: domain.firmware?.uuid ?? derivedUuid(vm) };
  domain.machine = { type: domain.machine?.type ?? 'q35' };
  domain.cpu = {
    ...domain.cpu,
    sockets: domain.cpu?.sockets ?? 1,
    cores: domain.cpu?.cores ?? 1,
    threads: domain.cpu?.threads ?? 1,
  };
  spec.terminationGracePeriodSeconds ??= 30;
  return { ...spec };
}

/** Always the same for the same VM, in the form of a UUID. */
function derivedUuid(vm: Vm): string {
  const digits = hash('sha256', uidOf(vm));
  const parts = [digits.slice(0, 8), digits.slice(8, 12), `5${digits.slice(13, 16)}`, `8${digits.slice(17, 20)}`];
  return [...parts, digits.slice(20, 32)].join('-');
}
