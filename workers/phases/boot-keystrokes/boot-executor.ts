import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { machineEnd } from '../../guest/machine-life.ts';
import { timed } from '../../runtime/timed.ts';
import type { PhaseContext, PhaseExecutor } from '../phase-executor.ts';
import { awaitLogin, awaitSignOfLife } from './evidence-of-boot.ts';
import { ensureMachine, ensureStarted } from './start-machine.ts';
import { isTyped, typeBootCommand } from './type-boot-command.ts';

/**
 * The boot phase of one VM: its machine made and started, the boot command typed from the moment when it runs, and
 * evidence that the guest is up: a login when steps or cloud-init need one, else any sign of life or its own power-off.
 */
export const bootExecutor: PhaseExecutor = {
  phase: 'boot-keystrokes',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const { vm } = scope;
    const machine = await ensureMachine(context, scope);
    const typed = isTyped(machine);
    const started = await ensureStarted(context, scope.names.machine(vm.name));
    const isOff = machineEnd(started.vmi) === 'Succeeded';
    const { sshWait, typingDuration } = context.metrics;
    if (vm.bootCommand.length > 0 && !typed && !isOff) {
      await timed(context, typingDuration, () => typeBootCommand(context, scope, started));
    }
    const needsLogin = vm.steps.length > 0 || vm.cloudInit !== null;
    await timed(context, sshWait, () => (needsLogin ? awaitLogin(context, scope) : awaitSignOfLife(context, scope)));
    return { outcome: 'succeeded' };
  },
};
