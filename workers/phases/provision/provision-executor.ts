import type { Step } from '../../../common/contracts/module/compiled.ts';
import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { openGuestAccess } from '../../guest/guest-access.ts';
import { whileMachineLives } from '../../guest/machine-life.ts';
import { stateName } from '../../guest/state-name.ts';
import { whileUnavailable } from '../../runtime/while-unavailable.ts';
import type { PhaseContext, PhaseExecutor } from '../phase-executor.ts';
import { runStep } from './run-step.ts';

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
    const build = stateName(context.claim.job);
    const machine = { name: scope.names.machine(scope.vm.name), doing: 'while its steps ran' };
    await whileMachineLives(context, machine, async (signal) => {
      const access = await openGuestAccess(context, scope, { signal });
      try {
        const first = await firstStep(context, steps);
        for (const [index, step] of steps.entries()) {
          if (index < first) continue;
          await runStep({ phase: context, scope, access, signal, build, index, step });
        }
      } finally {
        access.link.close();
      }
    });
    return { outcome: 'succeeded' };
  },
};

/**
 * Where to begin. Steps ask the guest whether they were run, but one in which a person works may be off the network for as
 * long as it likes: what stands before a step that waits, or has waited, was done.
 */
async function firstStep({ store, claim, clock, signal }: PhaseContext, steps: readonly Step[]): Promise<number> {
  if (!steps.some(({ type }) => type === 'handbuild')) return 0;
  return (await whileUnavailable({ clock, signal }, () => store.lastPause(claim))) ?? 0;
}
