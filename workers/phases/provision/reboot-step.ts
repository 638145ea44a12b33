import type { RebootStep } from '../../../common/contracts/module/steps/reboot.ts';
import { REBOOT_COMMAND } from '../../../common/contracts/module/steps/reboot.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import type { GuestConnection } from '../../guest/guest-connection.ts';
import { unixText } from '../../guest/shell-words.ts';
import { asRoot } from '../../guest/shutdown.ts';
import { type StepSupervisor, supervisorOf } from '../../guest/supervisor.ts';
import { StepFailure, sudoWants } from './shell-step.ts';
import { fence, guestIndex, type StepContext, type StepOutcome, stepLabel, stepTimeout } from './step-context.ts';

/** A guest that was asked and is still up after this is asked again. */
const ASK_AGAIN_MS = 60_000;

/**
 * Reboots the guest and waits until it is back: its boot id is another one than before it was asked, and it lets us in.
 * Asked again and again it reboots once, because the old boot id is stored in the guest before.
 * @throws PhaseFailure StepFailed when the command fails, StepTimeout, or GuestNeverAnswered when it does not come back
 */
export async function runRebootStep(context: StepContext<RebootStep>): Promise<StepOutcome> {
  const { phase, access, build, scope } = context;
  const index = guestIndex(context);
  const { clock } = phase;
  const timeoutMs = context.step.timeoutMs ?? scope.vm.communicator.sshTimeoutMs;
  const startedAt = clock.now();
  await access.link.use(async (guest) => {
    const supervisor = await supervisorOf(guest, build);
    const state = supervisor.status(index)?.state;
    if (state === 'exited') return;
    if (state === 'rebooted') {
      await access.link.pinHostKeys(guest, supervisor.hostKeys);
      await supervisor.mark(index, 0);
      return;
    }
    const leftMs = startedAt + timeoutMs - clock.now();
    if (leftMs <= 0) throw stepTimeout(context, timeoutMs);
    await ask(context, { guest, supervisor, waitMs: Math.min(leftMs, ASK_AGAIN_MS) });
    throw new FarmError('ConnectionLost', 'The guest goes down.');
  });
  return { exitCode: null };
}

interface Asking {
  readonly guest: GuestConnection;
  readonly supervisor: StepSupervisor;
  readonly waitMs: number;
}

/** Asks, unless the guest was asked in this boot already, and resolves when the connection is gone. */
async function ask(context: StepContext<RebootStep>, { guest, supervisor, waitMs }: Asking): Promise<void> {
  const { phase, access } = context;
  const index = guestIndex(context);
  const gone = phase.clock.after(waitMs, anySignal(guest.lost, context.signal)).catch(() => {});
  if (supervisor.status(index)?.state !== 'asked') {
    await fence(context);
    // A step before may have given the guest other keys, which only this connection vouches for.
    const hostKeys = await supervisor.nextHostKeys();
    if (hostKeys.length > 0) await access.link.pinHostKeys(guest, hostKeys);
    else await access.link.forgetHostKeys();
    const { exitCode, output } = await supervisor.reboot(index, commandOf(context));
    // A command that the reboot itself ended reports a signal.
    if (exitCode > 0 && exitCode < 128) {
      const logTail = access.mask(output).trim().split('\n');
      const why = `ended with code ${exitCode}${sudoWants(logTail)}`;
      throw new StepFailure(exitCode, `${stepLabel(context)}: the command that reboots ${why}.`, {
        evidence: { logTail },
      });
    }
  }
  await gone;
}

/** The command of the module as it is; the farm's own answers a `sudo` that asks for the password that it logs in with. */
function commandOf({ step, phase, access }: StepContext<RebootStep>): string {
  if (step.command !== REBOOT_COMMAND.bash) return unixText(phase.secrets.fill(step.command));
  return `${asRoot(access)}\nas_root reboot || { ${step.command}; }`;
}
