import { badRequest } from '../api-error.ts';
import { type Exchange, sendBytes } from '../http/exchange.ts';
import type { KubeObject } from '../objects.ts';
import { canSoftReboot, isPaused, machineError, phaseOf } from './instance-state.ts';
import type { MachineAccess, MachineRef } from './machine-access.ts';
import { isDryRunBody } from './machine-lifecycle.ts';
import { assertGraphics } from './machine-streams.ts';

/** Precondition and effect of an action. */
interface InstanceAction {
  /** @throws ApiError 409, and 400 for a reset */
  readonly check: (instance: KubeObject) => void;
  readonly run: (access: MachineAccess, ref: MachineRef) => Promise<void>;
}

function assertRunning(instance: KubeObject): void {
  if (phaseOf(instance) !== 'Running') throw machineError(instance, 'VM is not running');
}

/** virt-api itself refuses no reset: it finds no handler to ask. */
function assertHandler(instance: KubeObject): void {
  const phase = phaseOf(instance);
  if (phase === 'Running') return;
  const why = `Unable to connect to VirtualMachineInstance because phase is ${phase} instead of Running or Scheduled`;
  throw badRequest(`Failed to reset non-running VMI with phase ${phase}: ${why}`);
}

const ACTIONS: Readonly<Record<string, InstanceAction>> = {
  pause: {
    check: (instance) => {
      assertRunning(instance);
      if (isPaused(instance)) throw machineError(instance, 'VMI is already paused');
    },
    run: (access, ref) => access.pause(ref),
  },
  unpause: {
    check: (instance) => {
      if (phaseOf(instance) !== 'Running') throw machineError(instance, 'VMI is not running');
      if (!isPaused(instance)) throw machineError(instance, 'VMI is not paused');
    },
    run: (access, ref) => access.unpause(ref),
  },
  softreboot: {
    check: (instance) => {
      assertRunning(instance);
      if (isPaused(instance)) throw machineError(instance, 'VMI is paused');
      if (!canSoftReboot(instance))
        throw machineError(instance, 'VMI neither have the agent connected nor the ACPI feature enabled');
    },
    run: (access, ref) => access.softReboot(ref),
  },
  reset: { check: assertHandler, run: (access, ref) => access.reset(ref) },
};

/** Carries out a PUT on a machine instance's subresource; false for an unknown action. */
export async function actOnInstance(
  exchange: Exchange,
  instance: KubeObject,
  { action, access }: { action: string; access: MachineAccess },
): Promise<boolean> {
  const found = ACTIONS[action];
  if (!found) return false;
  const isDryRun = await isDryRunBody(exchange.request);
  found.check(instance);
  if (!isDryRun) await found.run(access, refOf(instance));
  exchange.response.writeHead(200, { 'Content-Length': 0 });
  exchange.response.end();
  return true;
}

interface Pictured {
  /** @throws ApiError when the instance does not exist */
  readonly find: () => KubeObject;
  readonly reach: () => MachineAccess;
}

/**
 * Answers with the screen. Any obstacle, an absent instance too, is a 500 in plain text, as virt-api answers
 * its read requests.
 */
export async function answerScreenshot(exchange: Exchange, { find, reach }: Pictured): Promise<void> {
  let instance: KubeObject;
  try {
    instance = find();
    assertGraphics(instance);
  } catch (error) {
    exchange.response.writeHead(500, { 'Content-Type': 'text/plain' });
    exchange.response.end(error instanceof Error ? error.message : String(error));
    return;
  }
  sendBytes(exchange.response, 'image/png', await reach().screenshot(refOf(instance)));
}

function refOf({ metadata }: KubeObject): MachineRef {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}
