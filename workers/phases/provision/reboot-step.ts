import type { RebootStep } from '../../../common/contracts/module/compiled.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import type { GuestConnection } from '../../guest/guest-connection.ts';
import { askReboot, guestStatus, markStep, prepareStep, type StepStatus } from '../../guest/supervisor.ts';
import { StepFailure } from './shell-step.ts';
import { fence, type StepContext, type StepOutcome, stepLabel, stepTimeout } from './step-context.ts';

/** A guest that was asked and is still up after this is asked again. */
const ASK_AGAIN_MS = 60_000;

/**
 * Reboots the guest and waits until it is back: its boot id is another one than before it was asked, and it lets us in.
 * Asked again and again it reboots once, because the old boot id is stored in the guest before.
 * @throws PhaseFailure StepFailed when the command fails, StepTimeout, or GuestNeverAnswered when it does not come back
 */
export async function runRebootStep(context: StepContext<RebootStep>): Promise<StepOutcome> {
  const { phase, access, build, index, scope } = context;
  const { clock } = phase;
  const timeoutMs = context.step.timeoutMs ?? scope.vm.communicator.sshTimeoutMs;
  const startedAt = clock.now();
  await access.link.use(async (guest) => {
    const status = (await guestStatus(guest, build)).steps.get(index);
    if (status?.state === 'exited') return;
    if (status?.state === 'rebooted') {
      await markStep(guest, await prepareStep(guest, build, index), 0);
      return;
    }
    const leftMs = startedAt + timeoutMs - clock.now();
    if (leftMs <= 0) throw stepTimeout(context, timeoutMs);
    await ask(context, { guest, status, waitMs: Math.min(leftMs, ASK_AGAIN_MS) });
    throw new FarmError('ConnectionLost', 'The guest goes down.');
  });
  return { exitCode: null };
}

interface Asking {
  readonly guest: GuestConnection;
  readonly status: StepStatus | undefined;
  readonly waitMs: number;
}

/** Asks, unless the guest was asked in this boot already, and resolves when the connection is gone. */
async function ask(context: StepContext<RebootStep>, { guest, status, waitMs }: Asking): Promise<void> {
  const { phase, build, index, step, access } = context;
  const gone = phase.clock.after(waitMs, AbortSignal.any([guest.lost, context.signal])).catch(() => {});
  if (status?.state !== 'asked') {
    await fence(context);
    const directory = await prepareStep(guest, build, index);
    const { exitCode, stdout } = await askReboot(guest, directory, phase.secrets.fill(step.command));
    const code = Number(/^asked (\d+)$/m.exec(stdout)?.[1] ?? exitCode);
    // A command that the reboot itself has ended says so by a signal.
    if (code > 0 && code < 128) {
      const logTail = access.mask(stdout).trim().split('\n').slice(1);
      throw new StepFailure(code, `${stepLabel(context)}: the command that reboots ended with code ${code}.`, {
        evidence: { logTail },
      });
    }
  }
  await gone;
}
