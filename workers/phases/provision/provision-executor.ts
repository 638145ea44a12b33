import type { Step } from '../../../common/contracts/module/step-types.ts';
import type { LastPause, PhaseResult } from '../../../common/contracts/phase-store.ts';
import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import type { PhaseContext, PhaseExecutor } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { openGuestAccess } from '../../guest/guest-access.ts';
import { isLoginRefused } from '../../guest/guest-link.ts';
import { askToGoDown, cleanGuest } from '../../guest/shutdown.ts';
import { stateName } from '../../guest/state-name.ts';
import {
  announceShutdown,
  leavingMarks,
  noteAccepted,
  noteCleaned,
  noteStepsDone,
} from '../../machines/leaving-marks.ts';
import { whileMachineLives } from '../../machines/machine-life.ts';
import { runStepOrKeep } from './keep-step.ts';
import type { StepContext } from './step-context.ts';

/**
 * The provision phase of one VM: its steps in order. Completed steps are known from the guest itself, so a worker that takes
 * over continues with the step that runs, and repeats none.
 */
export const provisionExecutor: PhaseExecutor = {
  phase: 'provision',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const { steps } = scope.vm;
    if (steps.length === 0) return { outcome: 'succeeded' };
    const name = scope.names.machine(scope.vm.name);
    const machine = await context.cluster.get(RESOURCES.machines, name, { signal: context.signal });
    // A former worker was done with the steps.
    if (leavingMarks(machine).left) return { outcome: 'succeeded' };
    let isAsked = false;
    try {
      await whileMachineLives(context, { name, doing: 'while its steps ran' }, async (signal) => {
        const access = await openGuestAccess(context, scope, { signal });
        const way = { scope, access, signal };
        try {
          await runSteps(context, way);
          await leave(context, way, () => {
            isAsked = true;
          });
        } finally {
          access.link.close();
        }
      });
    } catch (error) {
      context.signal.throwIfAborted();
      if (isAsked && !isFenced(error)) {
        context.logger.info({ err: error }, 'The snapshot phase will ask the guest to shut down');
      } else throw shutOut(context, error);
    }
    return { outcome: 'succeeded' };
  },
};

type Way = Pick<StepContext, 'scope' | 'access' | 'signal'>;

async function runSteps(context: PhaseContext, way: Way): Promise<void> {
  const { steps } = way.scope.vm;
  const build = stateName(context.claim.job);
  const last = await lastPause(context, steps);
  for (const [index, step] of steps.entries()) {
    if (last && index < last.step) continue;
    const kept = index === last?.step ? last.kept : null;
    await runStepOrKeep({ ...way, phase: context, build, index, attempt: 0, step }, kept);
  }
}

/**
 * Takes the farm out of the guest over the connection that is open: a step may have taken away the way in. The only guest
 * of a module need not wait, and is asked to go down as well. Guests with siblings stay up for them, and the
 * snapshot phase asks.
 */
async function leave(context: PhaseContext, { scope, access, signal }: Way, onAsked: () => void): Promise<void> {
  const isOnly = scope.spec.vms.length === 1;
  await noteStepsDone(context, scope);
  await cleanGuest({ ...context, signal }, access);
  if (!isOnly) return await noteCleaned(context, scope);
  await announceShutdown(context, scope, { isCleaned: true });
  onAsked();
  await askToGoDown({ ...context, signal }, scope, access);
  await noteAccepted(context, scope);
}

/** A guest that let the farm in before, and does not now: a step has sealed it before its worker was lost. */
function shutOut({ claim }: PhaseContext, error: unknown): unknown {
  const isRefused = error instanceof PhaseFailure && isLoginRefused(error.cause);
  if (!isRefused || claim.formerClaims === 0) return error;
  return new PhaseFailure('GuestShutOut', `The farm can no longer log in to the guest: ${errorMessage(error)}`, {
    cause: error,
  });
}

function isFenced(error: unknown): boolean {
  return error instanceof FarmError && (error.code === 'Superseded' || error.code === 'Cancelled');
}

/**
 * Where to begin. Steps ask the guest whether they were run, but one in which a person works may be off the network for as
 * long as it likes: steps before one that waits, or has waited, are done.
 */
async function lastPause(
  { store, claim, clock, signal }: PhaseContext,
  steps: readonly Step[],
): Promise<LastPause | null> {
  const mayWait = claim.keepMs !== null || claim.pauseBefore.length > 0;
  if (!mayWait && !steps.some(({ type }) => type === 'handbuild')) return null;
  return whileUnavailable({ clock, signal }, () => store.lastPause(claim));
}
