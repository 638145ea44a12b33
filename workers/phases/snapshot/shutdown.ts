import { ANNOTATIONS } from '../../../common/contracts/object-keys.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { isConflict, isNotFound } from '../../../common/kubernetes/api-error.ts';
import { releaseFinalInstance } from '../../../common/kubernetes/final-instance.ts';
import { screenshot, stopMachine } from '../../../common/kubernetes/machine-actions.ts';
import type { VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { isDisrupted, launcherLabels, storageFault } from '../../context/machine-evidence.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { machineEvidence, runStage } from '../../context/stage.ts';
import { announceShutdown, leavingMarks } from '../../machines/leaving-marks.ts';
import { endFailure, timeOfPhase, whenEvicted } from '../../machines/machine-life.ts';

/**
 * Asks a running guest to switch itself off (the `shutdownCommand`), and resolves when it has been asked. Rejects when
 * the guest cannot be asked; the machine is then stopped by ACPI.
 */
export type GuestShutdown = (context: PhaseContext, scope: BuildScope) => Promise<void>;

/** Time that KubeVirt needs beyond the guest's own. */
const GRACE_MS = 60_000;

/**
 * Switches the build VM off and makes sure that its guest shut down cleanly: only then its disks contain all that the guest
 * wrote. No effect when this was seen before.
 * @throws PhaseFailure `UncleanShutdown`, `GuestCrashed` when the machine died by itself, or `MachineEvicted`
 */
export async function shutDown(
  context: PhaseContext,
  scope: BuildScope,
  askGuest: GuestShutdown | undefined,
): Promise<void> {
  const { cluster, signal } = context;
  const name = scope.names.machine(scope.vm.name);
  const [vm, found] = await Promise.all([
    cluster.get(RESOURCES.machines, name, { signal }),
    cluster.get(RESOURCES.instances, name, { signal }),
  ]);
  if (vm?.metadata?.annotations?.[ANNOTATIONS.shutdownEnded] === 'Succeeded') return;
  if (storageFault(found)) throw endFailure('paused', 'before it was shut down', await machineEvidence(cluster, name));
  const { asked, left } = leavingMarks(vm);
  const ask = asked === 'accepted' ? () => Promise.resolve() : askGuest;
  if (!hasEnded(found) && asked !== 'accepted') await announceShutdown(context, scope);
  if (hasEnded(found)) return await assertClean(context, scope, { vmi: found, isAsked: asked !== undefined });
  const { result: vmi, evicted } = await noteEviction(cluster, { name, signal }, () =>
    switchOff(context, scope, { ask, isDirty: left === 'begun' }),
  );
  await assertClean(context, scope, { vmi, isAsked: true, evicted });
}

/** Returns, besides the result of `work`, whether the node evicted the machine meanwhile: this is unknown later. */
async function noteEviction<T>(
  cluster: PhaseContext['cluster'],
  { name, signal }: { readonly name: string; readonly signal: AbortSignal },
  work: () => Promise<T>,
): Promise<{ result: T; evicted: boolean }> {
  const over = new AbortController();
  let evicted = false;
  const watching = whenEvicted(cluster, name, anySignal(signal, over.signal)).then(
    () => {
      evicted = true;
    },
    // Ended by us, or not to be known; the pod is looked at again in the end.
    () => {},
  );
  try {
    const result = await work();
    return { result, evicted };
  } finally {
    over.abort();
    await watching;
  }
}

/** Writes down that the machine has ended in order, and lets its VMI go. The disks need not wait for it. */
export async function noteEnd({ cluster, signal }: PhaseContext, scope: BuildScope): Promise<void> {
  const name = scope.names.machine(scope.vm.name);
  await cluster.mergePatch(RESOURCES.machines, name, annotation(ANNOTATIONS.shutdownEnded, 'Succeeded'), { signal });
  await releaseFinalInstance(cluster, name, signal);
}

function annotation(key: string, value: string) {
  return { metadata: { annotations: { [key]: value } } };
}

function hasEnded(vmi: VirtualMachineInstance | undefined): boolean {
  const phase = vmi?.status?.phase;
  return vmi === undefined || phase === 'Succeeded' || phase === 'Failed';
}

type FinalInstance = VirtualMachineInstance | undefined;

interface Asking {
  readonly ask: GuestShutdown | undefined;
  /** The guest still contains the farm's records about its steps. */
  readonly isDirty: boolean;
}

async function switchOff(context: PhaseContext, scope: BuildScope, { ask, isDirty }: Asking): Promise<FinalInstance> {
  const outcome = ask ? await offByCommand(context, scope, ask) : { isOff: false as const };
  if (outcome.isOff) return outcome.vmi;
  if (isDirty) throw new PhaseFailure('GuestShutOut', 'The farm cannot log in to the guest to remove its own files.');
  return await offByAcpi(context, scope);
}

type CommandOutcome = { readonly isOff: true; readonly vmi: FinalInstance } | { readonly isOff: false };

/** Off when the guest went down by its own command within its time; a guest that goes down may well drop the question. */
async function offByCommand(
  context: PhaseContext,
  scope: BuildScope,
  askGuest: GuestShutdown,
): Promise<CommandOutcome> {
  const settled = new AbortController();
  const bounded = { ...context, signal: anySignal(context.signal, settled.signal) };
  const asked = askGuest(bounded, scope).then(
    () => true,
    (error) => {
      if (!settled.signal.aborted) context.logger.warn({ err: error }, 'The guest could not be asked to shut down');
      return false;
    },
  );
  const ended = endOf(bounded, scope, scope.vm.shutdownTimeoutMs).then((vmi): CommandOutcome => ({ isOff: true, vmi }));
  try {
    // An answer of the guest is not decisive: only its end or its refusal is.
    const refused = asked.then((isAsked): Promise<CommandOutcome> | CommandOutcome =>
      isAsked ? ended : { isOff: false },
    );
    return await Promise.race([ended, refused]);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof FarmError) || error.code !== 'DeadlineExceeded') throw error;
    return { isOff: false };
  } finally {
    settled.abort(new Error('The shutdown is settled.'));
    ended.catch(() => undefined);
  }
}

/** ACPI, and after the VMI's grace period (the module's `shutdownTimeout`) by force. */
async function offByAcpi(context: PhaseContext, scope: BuildScope): Promise<FinalInstance> {
  const { cluster, store, claim, signal } = context;
  const name = scope.names.machine(scope.vm.name);
  await keepScreenshot(context, name);
  await store.assertCurrent(claim);
  try {
    await stopMachine(cluster, name);
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error;
  }
  const stage = { reason: 'UncleanShutdown', machine: name } as const;
  return runStage(cluster, stage, () => endOf({ ...context, signal }, scope, scope.vm.shutdownTimeoutMs + GRACE_MS));
}

/** The VMI in its final phase, or undefined when it is gone. */
async function endOf({ cluster, signal }: PhaseContext, scope: BuildScope, deadlineMs: number): Promise<FinalInstance> {
  const name = scope.names.machine(scope.vm.name);
  const what = `VM "${scope.vm.name}" to shut down`;
  const end = await waitFor(
    cluster,
    { resource: RESOURCES.instances, name },
    { signal, deadlineMs, what, until: (vmi) => (hasEnded(vmi) || storageFault(vmi) ? { vmi } : undefined) },
  );
  // It cannot answer any more, and the data in its memory is lost.
  if (!hasEnded(end.vmi)) throw endFailure('paused', 'before it was shut down', await machineEvidence(cluster, name));
  return end.vmi;
}

interface End {
  readonly vmi: FinalInstance;
  /** Whether the guest was asked to go down, now or by a former worker. */
  readonly isAsked: boolean;
  /** Whether its pod was seen evicted meanwhile. */
  readonly evicted?: boolean;
}

/** Judges the final VMI. A drained node also ends machines tidily, but not when the module is done. */
async function assertClean(
  { cluster, signal }: PhaseContext,
  scope: BuildScope,
  { vmi, isAsked, evicted = false }: End,
): Promise<void> {
  const label = `VM "${scope.vm.name}"`;
  if (evicted || (await wasDisrupted(cluster, vmi, signal))) {
    throw new PhaseFailure('MachineEvicted', `The pod of ${label} was evicted by its node`);
  }
  const planned = Math.ceil(scope.vm.shutdownTimeoutMs / 1000);
  const grace = vmi?.spec?.terminationGracePeriodSeconds ?? planned;
  const isSucceeded = vmi?.status?.phase === 'Succeeded';
  if (isSucceeded && grace === planned) return;
  const evidence = { events: await machineEvidence(cluster, scope.names.machine(scope.vm.name)) };
  if (isSucceeded) {
    // A kill without grace also ends as Succeeded; the period that was asked for stays in the final object.
    const message = `${label} was switched off by force: another client stopped it with a grace period of ${grace} s, not ${planned} s`;
    throw new PhaseFailure('UncleanShutdown', message, { evidence });
  }
  if (!vmi) throw new PhaseFailure('UncleanShutdown', `${label} is off, and its final state is unknown`, { evidence });
  if (!isAsked || vmi.status?.reason === 'NodeUnresponsive') {
    throw new PhaseFailure('GuestCrashed', `${label} ended as Failed without being asked`, { evidence });
  }
  if (!wasKilled(vmi, grace)) {
    throw new PhaseFailure('GuestCrashed', `${label} died while it was shutting down`, { evidence });
  }
  const message = `${label} did not shut down within ${planned} s and was switched off by force`;
  throw new PhaseFailure('UncleanShutdown', message, { evidence });
}

/** Whether KubeVirt ended a Failed machine because its grace period, which begins with the deletion of the VMI, was over. */
function wasKilled(vmi: VirtualMachineInstance, graceSeconds: number): boolean {
  const deletion = vmi.metadata?.deletionTimestamp;
  const failedAt = timeOfPhase(vmi, 'Failed') ?? Number.POSITIVE_INFINITY;
  return deletion !== undefined && failedAt >= new Date(deletion).getTime() + graceSeconds * 1000;
}

async function wasDisrupted(
  cluster: PhaseContext['cluster'],
  vmi: FinalInstance,
  signal: AbortSignal,
): Promise<boolean> {
  const uid = vmi?.metadata?.uid;
  if (!uid) return false;
  const { items } = await cluster.list(RESOURCES.pods, { labels: launcherLabels(uid), signal });
  return items.some(isDisrupted);
}

/** Screenshot of a guest that did not shut down; a missing one is not an error. */
async function keepScreenshot({ cluster, store, claim, signal, logger }: PhaseContext, vmi: string): Promise<void> {
  try {
    const png = await screenshot(cluster, vmi, signal);
    if (png) await store.saveScreenshot(claim, png);
  } catch (error) {
    signal.throwIfAborted();
    logger.debug({ err: error }, 'No screenshot before the stop');
  }
}
