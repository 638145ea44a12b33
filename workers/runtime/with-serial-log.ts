import type { Failure } from '../../common/contracts/failures.ts';
import { guestRoute } from '../../common/contracts/guest-route.ts';
import { maskSecrets } from '../../common/logging/mask.ts';
import { type BuildScope, buildScope } from '../cluster/build-scope.ts';
import { SerialCapture } from '../console/serial-capture.ts';
import type { PhaseContext, PhaseExecutor } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { likelyCauses } from '../guest/likely-causes.ts';
import { networkOf } from '../networks/networks.ts';

/** Records the machine's serial output while the phase runs; its last lines are evidence of every failure. */
export function withSerialLog(executor: PhaseExecutor): PhaseExecutor {
  return {
    phase: executor.phase,
    execute: async (context) => {
      const scope = buildScope(context);
      const serial = followSerial(context, scope);
      const explain = async (failure: Failure, cause?: unknown) => ({
        outcome: 'failed' as const,
        failure: explained(failure, { cause, scope, serialTail: await serial.lastWords() }),
      });
      try {
        const result = await executor.execute(context);
        return result.outcome === 'failed' ? await explain(result.failure) : result;
      } catch (error) {
        if (!(error instanceof PhaseFailure) || context.signal.aborted) throw error;
        return await explain(error.failure, error.cause);
      } finally {
        await serial.stop();
      }
    },
  };
}

function followSerial(context: PhaseContext, { names, vm }: BuildScope): SerialCapture {
  const { sshPassword } = vm.communicator;
  const password = sshPassword === null ? undefined : context.secrets.fill(context.farmKey.open(sshPassword));
  return new SerialCapture(context, { machine: names.machine(vm.name), mask: maskSecrets([password]) });
}

interface Evidence {
  readonly cause: unknown;
  readonly scope: BuildScope;
  readonly serialTail: readonly string[] | undefined;
}

function explained(failure: Failure, { cause, scope, serialTail }: Evidence): Failure {
  const route = guestRoute(scope);
  const host = route ? networkOf(scope.spec).guestName(scope, route.nic) : '';
  const hints = likelyCauses({
    ...{ reason: failure.reason, cause, serialTail, host },
    port: scope.vm.communicator.sshPort,
    username: scope.vm.communicator.sshUsername,
    nicModel: route?.nic.model ?? '',
    hasCloudInit: scope.vm.cloudInit !== null,
  });
  return { ...failure, serialTail: [...(serialTail ?? [])], hints: [...failure.hints, ...hints] };
}
