import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { openGuestAccess } from '../../guest/guest-access.ts';
import { whileMachineLives } from '../../guest/machine-life.ts';
import { stateName } from '../../guest/state-name.ts';
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
        for (const [index, step] of steps.entries()) {
          await runStep({ phase: context, scope, access, signal, build, index, step });
        }
      } finally {
        access.link.close();
      }
    });
    return { outcome: 'succeeded' };
  },
};
