import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { inParallel } from '../../../common/lifecycle/in-parallel.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import { timed } from '../../../common/metrics/timed.ts';
import { type BuildScope, buildScope } from '../../cluster/build-scope.ts';
import type { TypingPosition } from '../../console/typing.ts';
import type { PhaseContext, PhaseExecutor } from '../../context/phase-context.ts';
import { machineEnd } from '../../machines/machine-life.ts';
import { areUsedAtBoot, ensureServices } from '../../networks/network-services.ts';
import { awaitLogin, awaitSignOfLife } from './evidence-of-boot.ts';
import { ensureMachine, ensureStarted } from './start-machine.ts';
import { typeBootCommand, typedSoFar } from './type-boot-command.ts';

/**
 * The boot phase of one VM: its machine made and started, the boot command typed from the moment when it runs, and
 * evidence that the guest is up: a login when steps or cloud-init need one, else any sign of life or its own power-off.
 */
export const bootExecutor: PhaseExecutor = {
  phase: 'boot-keystrokes',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const { vm } = scope;
    await inParallel(
      context.signal,
      (signal) => runMachine({ ...context, signal }, scope),
      // Import has waited for those that the guest uses at boot; the farm needs the others from now on.
      async (signal) => {
        if (!areUsedAtBoot(scope.spec)) await ensureServices({ ...context, signal }, scope);
      },
    );
    const needsLogin = vm.steps.length > 0 || vm.cloudInit !== null;
    const { sshWait } = context.metrics;
    await timed(context, sshWait, () => (needsLogin ? awaitLogin(context, scope) : awaitSignOfLife(context, scope)));
    return { outcome: 'succeeded' };
  },
};

async function runMachine(context: PhaseContext, scope: BuildScope): Promise<void> {
  const { vm } = scope;
  const machine = await ensureMachine(context, scope);
  const typed = vm.bootCommand.length === 0 ? 'all' : typedSoFar(machine);
  if (typed === 'all') await ensureStarted(context, scope.names.machine(vm.name));
  else await startAndType(context, scope, typed === 'nothing' ? undefined : typed);
}

async function startAndType(context: PhaseContext, scope: BuildScope, from?: TypingPosition): Promise<void> {
  const { claim, clock, signal, consoles, metrics } = context;
  const name = scope.names.machine(scope.vm.name);
  const held = await whileUnavailable({ clock, signal }, () => consoles.hold(name, claim.epoch));
  try {
    const started = await ensureStarted(context, name);
    if (machineEnd(started.vmi) === 'Succeeded') return;
    const target = { ...started, held, ...(from ? { from } : {}) };
    await timed(context, metrics.typingDuration, () => typeBootCommand(context, scope, target));
  } finally {
    await held.release();
  }
}
