import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';
import { isConflict, isNotFound } from '../../../common/kubernetes/api-error.ts';
import { screenshot, stopMachine } from '../../../common/kubernetes/machine-actions.ts';
import type { VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { lastEvents } from '../../cluster/evidence.ts';
import { type PhaseContext, PhaseFailure } from '../phase-executor.ts';

/**
 * Asks a running guest to switch itself off (the `shutdownCommand`), and resolves when it has been asked. Rejects when
 * the guest cannot be asked; the machine is then stopped by ACPI.
 */
export type GuestShutdown = (context: PhaseContext, scope: BuildScope) => Promise<void>;

/** Set on the VM before its guest is asked, so that an end seen later is known to be ours. */
const ASKED = 'slipway.dev/shutdown-asked';
/** What KubeVirt needs beyond the guest's own time. */
const GRACE_MS = 60_000;

/**
 * Switches the build VM off and makes sure that its guest went down in order: only then its disks are what the guest
 * wrote. Does nothing when it is off already.
 * @throws PhaseFailure `UncleanShutdown`, or `GuestCrashed` when the machine died without being asked
 */
export async function shutDown(
  context: PhaseContext,
  scope: BuildScope,
  askGuest: GuestShutdown | undefined,
): Promise<void> {
  const { cluster, signal, store, claim } = context;
  const name = scope.names.machine(scope.vm.name);
  const found = await cluster.get(RESOURCES.instances, name, { signal });
  if (!hasEnded(found)) {
    await store.assertCurrent(claim);
    const patch = { metadata: { annotations: { [ASKED]: 'true' } } };
    await cluster.mergePatch(RESOURCES.machines, name, patch, { signal });
    const isOff = askGuest ? await offByCommand(context, scope, askGuest) : false;
    if (!isOff) await offByAcpi(context, scope);
  }
  await assertClean(context, scope);
}

function hasEnded(vmi: VirtualMachineInstance | undefined): boolean {
  const phase = vmi?.status?.phase;
  return vmi === undefined || phase === 'Succeeded' || phase === 'Failed';
}

/** True when the guest went down by its own command within its time. */
async function offByCommand(context: PhaseContext, scope: BuildScope, askGuest: GuestShutdown): Promise<boolean> {
  try {
    await askGuest(context, scope);
  } catch (error) {
    context.signal.throwIfAborted();
    context.logger.warn({ err: error }, 'The guest could not be asked to shut down; it is stopped by ACPI');
    return false;
  }
  try {
    await waitForEnd(context, scope, scope.vm.shutdownTimeoutMs);
    return true;
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'DeadlineExceeded') throw error;
    return false;
  }
}

/** ACPI, and after the VMI's grace period (the module's `shutdownTimeout`) by force. */
async function offByAcpi(context: PhaseContext, scope: BuildScope): Promise<void> {
  const { cluster, store, claim, signal } = context;
  const name = scope.names.machine(scope.vm.name);
  await keepScreenshot(context, name);
  await store.assertCurrent(claim);
  try {
    await stopMachine(cluster, name);
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error;
  }
  try {
    await waitForEnd(context, scope, scope.vm.shutdownTimeoutMs + GRACE_MS);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FarmError) || error.code !== 'DeadlineExceeded') throw error;
    const events = await lastEvents(cluster, subjects(name));
    throw new PhaseFailure('UncleanShutdown', errorMessage(error), { cause: error, evidence: { events } });
  }
}

async function waitForEnd({ cluster, signal }: PhaseContext, scope: BuildScope, deadlineMs: number): Promise<void> {
  const name = scope.names.machine(scope.vm.name);
  const what = `VM "${scope.vm.name}" to shut down`;
  await waitFor(
    cluster,
    { resource: RESOURCES.instances, name },
    { signal, deadlineMs, what, until: (vmi) => (hasEnded(vmi) ? true : undefined) },
  );
}

/** Judges the final VMI. A drained node also ends machines tidily, but not when the module is done. */
async function assertClean({ cluster, signal }: PhaseContext, scope: BuildScope): Promise<void> {
  const name = scope.names.machine(scope.vm.name);
  const [vm, vmi] = await Promise.all([
    cluster.get(RESOURCES.machines, name, { signal }),
    cluster.get(RESOURCES.instances, name, { signal }),
  ]);
  const label = `VM "${scope.vm.name}"`;
  if (await wasDisrupted(cluster, vmi, signal)) {
    throw new PhaseFailure('GuestCrashed', `The pod of ${label} was evicted by its node`);
  }
  if (vmi?.status?.phase === 'Succeeded') return;
  const evidence = { events: await lastEvents(cluster, subjects(name)) };
  const isAsked = vm?.metadata?.annotations?.[ASKED] !== undefined;
  if (!vmi) throw new PhaseFailure('UncleanShutdown', `${label} is off, and how it ended is not known`, { evidence });
  if (!isAsked || vmi.status?.reason === 'NodeUnresponsive') {
    throw new PhaseFailure('GuestCrashed', `${label} ended as Failed without being asked`, { evidence });
  }
  const seconds = Math.round(scope.vm.shutdownTimeoutMs / 1000);
  const message = `${label} did not shut down within ${seconds} s and was switched off by force`;
  throw new PhaseFailure('UncleanShutdown', message, { evidence });
}

async function wasDisrupted(
  cluster: PhaseContext['cluster'],
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const uid = vmi?.metadata?.uid;
  if (!uid) return false;
  const { items } = await cluster.list(RESOURCES.pods, { labels: { 'kubevirt.io/created-by': uid }, signal });
  return items.some(({ status }) =>
    status?.conditions?.some(({ type, status: isTrue }) => type === 'DisruptionTarget' && isTrue === 'True'),
  );
}

/** What the screen showed when the guest would not go down; losing it must not hurt. */
async function keepScreenshot({ cluster, store, claim, signal, logger }: PhaseContext, vmi: string): Promise<void> {
  try {
    const png = await screenshot(cluster, vmi, signal);
    if (png) await store.saveScreenshot(claim, png);
  } catch (error) {
    signal.throwIfAborted();
    logger.debug({ err: error }, 'No screenshot before the stop');
  }
}

function subjects(name: string) {
  return [
    { kind: 'VirtualMachine', name },
    { kind: 'VirtualMachineInstance', name },
  ];
}
