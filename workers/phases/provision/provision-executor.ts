import type { Step } from '../../../common/contracts/module/compiled.ts';
import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { openGuestAccess } from '../../guest/guest-access.ts';
import { whileMachineLives } from '../../guest/machine-life.ts';
import { leaveGuest } from '../../guest/shutdown.ts';
import { announceShutdown, noteAccepted, shutdownMark } from '../../guest/shutdown-marks.ts';
import { stateName } from '../../guest/state-name.ts';
import { whileUnavailable } from '../../runtime/while-unavailable.ts';
import type { PhaseContext, PhaseExecutor } from '../phase-executor.ts';
import { runStep } from './run-step.ts';
import type { StepContext } from './step-context.ts';

/**
 * The provision phase of one VM: its steps in order. What was done is known from the guest itself, so a worker that takes
 * over goes on with the step that runs, and repeats none.
 */
export const provisionExecutor: PhaseExecutor = {
  phase: 'provision',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const { steps } = scope.vm;
    if (steps.length === 0) return { outcome: 'succeeded' };
    const name = scope.names.machine(scope.vm.name);
    const machine = await context.cluster.get(RESOURCES.machines, name, { signal: context.signal });
    // A former worker was done with the steps, and nobody else asks.
    if (shutdownMark(machine)) return { outcome: 'succeeded' };
    let isLeaving = false;
    try {
      await whileMachineLives(context, { name, doing: 'while its steps ran' }, async (signal) => {
        const access = await openGuestAccess(context, scope, { signal });
        try {
          await runSteps(context, { scope, access, signal });
          isLeaving = scope.spec.vms.length === 1;
          if (isLeaving) await leave(context, { scope, access, signal });
        } finally {
          access.link.close();
        }
      });
    } catch (error) {
      context.signal.throwIfAborted();
      if (!isLeaving || isFenced(error)) throw error;
      context.logger.info({ err: error }, 'The snapshot phase will ask the guest to shut down');
    }
    return { outcome: 'succeeded' };
  },
};

type Way = Pick<StepContext, 'scope' | 'access' | 'signal'>;

async function runSteps(context: PhaseContext, way: Way): Promise<void> {
  const { steps } = way.scope.vm;
  const build = stateName(context.claim.job);
  const first = await firstStep(context, steps);
  for (const [index, step] of steps.entries()) {
    if (index >= first) await runStep({ ...way, phase: context, build, index, step });
  }
}

/**
 * The only guest of a module has nothing to wait for: it is asked to go down over the connection that is open, also when a
 * step has taken away the farm's key. Guests with siblings stay up for them; the snapshot phase asks them.
 */
async function leave(context: PhaseContext, { scope, access, signal }: Way): Promise<void> {
  await announceShutdown(context, scope);
  await leaveGuest({ ...context, signal }, scope, access);
  await noteAccepted(context, scope);
}

function isFenced(error: unknown): boolean {
  return error instanceof FarmError && (error.code === 'Superseded' || error.code === 'Cancelled');
}

/**
 * Where to begin. Steps ask the guest whether they were run, but one in which a person works may be off the network for as
 * long as it likes: what stands before a step that waits, or has waited, was done.
 */
async function firstStep({ store, claim, clock, signal }: PhaseContext, steps: readonly Step[]): Promise<number> {
  if (!steps.some(({ type }) => type === 'handbuild')) return 0;
  return (await whileUnavailable({ clock, signal }, () => store.lastPause(claim))) ?? 0;
}
