import { rm } from 'node:fs/promises';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { KubeObject, ObjectKey } from '../api/objects.ts';
import { isFinal } from '../api/subresources/instance-state.ts';
import { findProcesses, killProcesses } from '../host/processes.ts';
import type { Machine, MachineState } from '../qemu/machine.ts';
import type { ClusterNetwork } from './cluster-network.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  queueFor,
  removeFinalizers,
  textKeyOf,
  uidOf,
} from './context.ts';
import type { EventText } from './event-recorder.ts';
import type { Vmi } from './kubevirt-types.ts';
import { ensureLauncherPod, launcherPodOf, onLauncherLeaving, writeLauncherPhase } from './launcher-pod.ts';
import { type MachineRegistry, machineRunDir } from './machine-registry.ts';
import type { MachineStarter } from './machine-starter.ts';
import { StorageFaults } from './storage-faults.ts';
import { type Pause, runningConditions, WITHOUT_POD, writeVmiStatus } from './vmi-status.ts';
import { findClaims } from './vmi-volumes.ts';
import type { WorkQueue } from './work-queue.ts';

export const VMI_FINALIZER = 'kubevirt.io/foregroundDeleteVirtualMachine';
const DEFAULT_GRACE_SECONDS = 30;
/** Reasons of the condition `Paused`. */
const PAUSES: Readonly<Partial<Record<MachineState, Pause>>> = { paused: 'PausedByUser', 'io-error': 'PausedIOError' };

/** What became of machines that ended as Failed by themselves. */
const CRASHES: Readonly<Partial<Record<MachineState, string>>> = {
  panicked: 'The guest has panicked.',
  'tpm-lost': 'The TPM of the machine has ended unexpectedly.',
};
const LOST = 'The QEMU process has ended unexpectedly.';

/** What virt-handler reports of every end, whatever its cause. */
const ENDS: Readonly<Record<'Succeeded' | 'Failed', EventText>> = {
  Succeeded: { type: 'Normal', reason: 'Stopped', message: 'The VirtualMachineInstance was shut down.' },
  Failed: { type: 'Warning', reason: 'Stopped', message: 'The VirtualMachineInstance crashed.' },
};
const POWERED_OFF = 'The guest has powered off.';

/** Dependencies of the VMI controller. */
export interface VmiControllerParts {
  readonly context: ControllerContext;
  readonly machines: MachineRegistry;
  readonly network: ClusterNetwork;
  readonly starter: MachineStarter;
}

/**
 * VirtualMachineInstances, from Pending to Succeeded or Failed:
 * - Pending: until every claim holds data; Scheduling: the launcher pod is there; Scheduled: the machine is being started;
 * - Running: as long as the process lives and the guest has not powered off, paused or not;
 * - Succeeded: the guest powered off, by itself or asked; Failed: process or TPM lost, guest panicked, or killed after the grace.
 */
export class VmiController {
  readonly #parts: VmiControllerParts;
  readonly #queue: WorkQueue;
  readonly #faults: StorageFaults;
  /** Machines whose power button has been pressed by this process. */
  readonly #asked = new Set<string>();
  /** Final machines that are removed from the host. */
  readonly #finished = new Set<string>();

  constructor(parts: VmiControllerParts) {
    this.#parts = parts;
    const { context } = parts;
    this.#faults = new StorageFaults(context);
    this.#queue = queueFor(context, 'VirtualMachineInstance', (key) => this.#reconcile(key));
    const wakeWaiting = () => {
      for (const vmi of context.store.list<Vmi>('VirtualMachineInstance')) {
        if (!isFinal(vmi) && vmi.status?.phase !== 'Running') this.#queue.add(textKeyOf(vmi));
      }
    };
    const kinds = ['PersistentVolumeClaim', 'DataVolume', 'Secret', 'ConfigMap', ...parts.network.kinds];
    context.store.subscribe(kinds, wakeWaiting, context.signal);
    onLauncherLeaving(context, (key) => this.#queue.add(key));
  }

  /** Looks at a VMI whose machine has changed. */
  wake(key: string): void {
    this.#queue.add(key);
  }

  async #reconcile(key: ObjectKey): Promise<void> {
    const { context, machines } = this.#parts;
    const vmi = context.store.get<Vmi>('VirtualMachineInstance', key);
    if (!vmi) return;
    if (isFinal(vmi)) return await this.#finish(vmi);
    if (isDeleting(vmi)) return await this.#terminate(vmi, vmi);
    const machine = machines.get(uidOf(vmi));
    const launcher = launcherPodOf(context, vmi);
    if (launcher && isDeleting(launcher)) return await this.#terminate(vmi, launcher);
    if (vmi.status?.phase === 'Running') return await this.#observe(vmi, machine);
    if (machine) return await this.#announce(vmi, machine);
    await this.#start(vmi);
  }

  async #start(vmi: Vmi): Promise<void> {
    const { context, starter } = this.#parts;
    await ensureFinalizer(context.store, vmi, VMI_FINALIZER);
    const found = await findClaims(context, vmi);
    if (found.waiting) return await this.#wait(vmi, found.waiting);
    try {
      // The phases before Running are recomputed at the next look, so they need not be on disk one by one.
      const written = Promise.all([this.#climb(vmi), ensureLauncherPod(context, vmi)]);
      const [machine] = await Promise.all([starter.start(vmi, found.claims), written]);
      this.#record(vmi, { type: 'Normal', reason: 'Created', message: 'VirtualMachineInstance defined.' });
      await this.#announce(vmi, machine);
    } catch (error) {
      await this.#refuse(vmi, errorMessage(error));
      throw error;
    }
  }

  /** A repeated start must not change the object, or every retry would trigger the next one. */
  async #climb(vmi: Vmi): Promise<void> {
    if (vmi.status?.phase === 'Scheduled') return;
    const { context } = this.#parts;
    const drop = ['Provisioning', 'Synchronized', 'PodScheduled'];
    const phases = ['Pending', 'Scheduling', 'Scheduled'] as const;
    await Promise.all(phases.map((phase) => writeVmiStatus(context, vmi, { phase, drop })));
  }

  async #wait(
    vmi: Vmi,
    { reason, message, isFailed = false }: { reason: string; message: string; isFailed?: boolean },
  ) {
    const { context } = this.#parts;
    const claim = { type: 'Synchronized', status: 'False', reason, message } as const;
    const dataVolumes = { type: 'DataVolumesReady', status: 'False', reason: 'NotAllDVsReady', message } as const;
    const isMissing = reason === 'FailedPvcNotFound';
    await writeVmiStatus(context, vmi, {
      phase: isFailed ? 'Failed' : 'Pending',
      conditions: isMissing ? [...WITHOUT_POD, claim] : [dataVolumes, ...(isFailed ? [claim] : [])],
      drop: isMissing ? ['DataVolumesReady'] : ['PodScheduled', ...(isFailed ? [] : ['Synchronized'])],
    });
    // To KubeVirt a claim may come yet.
    if (isMissing || isFailed) this.#record(vmi, { type: isFailed ? 'Warning' : 'Normal', reason, message });
  }

  /** The machine cannot be started as things are: reported in the status, retried later. */
  async #refuse(vmi: Vmi, message: string): Promise<void> {
    const { context } = this.#parts;
    const condition = { type: 'Synchronized', status: 'False', reason: 'FailedCreate', message } as const;
    await writeVmiStatus(context, vmi, { phase: 'Scheduled', conditions: [condition] });
    this.#record(vmi, { type: 'Warning', reason: 'FailedCreate', message });
  }

  async #announce(vmi: Vmi, machine: Machine): Promise<void> {
    const { context } = this.#parts;
    await Promise.all([this.#writeRunning(vmi, machine), writeLauncherPhase(context, vmi, 'Running')]);
    this.#record(vmi, { type: 'Normal', reason: 'Started', message: 'VirtualMachineInstance started.' });
    this.wake(textKeyOf(vmi)); // The guest may have gone off while this was written.
  }

  async #observe(vmi: Vmi, machine: Machine | undefined): Promise<void> {
    const state = machine?.state ?? 'gone';
    if (machine && state === 'io-error') return await this.#hold(vmi, machine);
    if (machine && (state === 'running' || state === 'paused')) {
      return await this.#writeRunning(vmi, machine);
    }
    if (state === 'off') return await this.#end(vmi, 'Succeeded', POWERED_OFF);
    await this.#end(vmi, 'Failed', CRASHES[state] ?? LOST);
  }

  /** Its storage failed. The Event comes before the condition, for readers who look for the reason. */
  async #hold(vmi: Vmi, machine: Machine): Promise<void> {
    const delayMs = await this.#faults.report(vmi, machine);
    await this.#writeRunning(vmi, machine);
    if (delayMs > 0) this.#queue.add(textKeyOf(vmi), delayMs);
    else await machine.resume();
  }

  async #writeRunning(vmi: Vmi, machine: Machine): Promise<void> {
    const { context } = this.#parts;
    const paused = PAUSES[machine.state];
    await writeVmiStatus(context, vmi, {
      phase: 'Running',
      conditions: runningConditions({ paused, isToLeave: vmi.status?.['evacuationNodeName'] !== undefined }),
      drop: ['Synchronized', 'Provisioning', ...(paused ? [] : ['Paused'])],
    });
  }

  /** It, or its launcher pod, was deleted while it was not final: power button, grace, force. */
  async #terminate(vmi: Vmi, { metadata: deleted }: KubeObject): Promise<void> {
    const { context, machines } = this.#parts;
    const machine = machines.get(uidOf(vmi));
    const graceSeconds = vmi.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    // A machine that never ran is Failed in KubeVirt too: it has not powered off.
    if (!machine) return await this.#end(vmi, 'Failed', 'There was no machine any more.');
    if (machine.state === 'off') return await this.#end(vmi, 'Succeeded', POWERED_OFF);
    if (machine.state === 'gone' || CRASHES[machine.state]) return await this.#observe(vmi, machine);
    // Whole seconds are all that the time stamp has: the guest gets the rest of its last second.
    const leftMs = Date.parse(deleted.deletionTimestamp ?? '') + (graceSeconds + 1) * 1000 - context.clock.now();
    if (graceSeconds > 0 && leftMs > 0) return await this.#askToPowerOff(vmi, machine, leftMs);
    this.#record(vmi, { type: 'Normal', reason: 'Deleted', message: 'VirtualMachineInstance stopping' });
    // KubeVirt: a grace period of 0 means that a kill was requested.
    const phase = graceSeconds === 0 ? 'Succeeded' : 'Failed';
    await this.#end(vmi, phase, 'The guest did not power off within its grace period and was killed.');
  }

  async #askToPowerOff(vmi: Vmi, machine: Machine, leftMs: number): Promise<void> {
    this.#queue.add(textKeyOf(vmi), leftMs);
    if (this.#asked.has(uidOf(vmi))) return;
    this.#asked.add(uidOf(vmi));
    await machine.pressPowerButton();
    this.#record(vmi, { type: 'Normal', reason: 'ShuttingDown', message: 'Signaled Graceful Shutdown' });
  }

  /** The final phase is on disk before the process, whose run state is the proof of it, is ended. */
  async #end(vmi: Vmi, phase: 'Succeeded' | 'Failed', why: string): Promise<void> {
    const { context } = this.#parts;
    await writeVmiStatus(context, vmi, {
      phase,
      conditions: [{ type: 'Ready', status: 'False', reason: 'PodTerminating', message: why }],
      drop: ['Paused'],
    });
    if (vmi.status?.phase === 'Running') this.#record(vmi, ENDS[phase]);
    const written = context.store.get<Vmi>('VirtualMachineInstance', vmi.metadata);
    if (written) await this.#finish(written);
  }

  /** A final VMI uses no resources of the host. */
  async #finish(vmi: Vmi): Promise<void> {
    const { context } = this.#parts;
    const uid = uidOf(vmi);
    if (!this.#finished.has(uid)) await this.#cleanUp(vmi);
    if (!isDeleting(vmi)) return;
    await removeFinalizers(context.store, vmi, [VMI_FINALIZER]);
    this.#finished.delete(uid);
  }

  async #cleanUp(vmi: Vmi): Promise<void> {
    const { context, machines, network } = this.#parts;
    const uid = uidOf(vmi);
    const runDir = machineRunDir(context, uid);
    await machines.get(uid)?.end();
    // Its TPM ends with QEMU, but not when QEMU was never started.
    await killProcesses(await findProcesses(runDir), context.clock);
    // From here on its volumes are free: what waits for them need not wait for its network to go.
    machines.release(uid);
    this.#asked.delete(uid);
    this.#faults.forget(uid);
    await network.disconnectMachine(vmi);
    await rm(runDir, { recursive: true, force: true });
    await writeLauncherPhase(context, vmi, vmi.status?.phase === 'Failed' ? 'Failed' : 'Succeeded');
    this.#finished.add(uid);
  }

  #record(vmi: Vmi, text: EventText): void {
    this.#parts.context.events.record(vmi, text);
  }
}
