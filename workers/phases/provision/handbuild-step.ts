import type { HandbuildStep } from '../../../common/contracts/module/compiled.ts';
import type { PauseState } from '../../../common/contracts/phase-store.ts';
import { createAlarm } from '../../../common/lifecycle/alarm.ts';
import { supervisorOf } from '../../guest/supervisor.ts';
import { whileUnavailable } from '../../runtime/while-unavailable.ts';
import { type StepContext, type StepOutcome, stepTimeout } from './step-context.ts';

/** The longest that a timer can wait. */
const FOR_EVER_MS = 2 ** 31 - 1;

/**
 * Waits until a person who works at the console says to continue, and then until the guest lets us in again: the person
 * may have rebooted it. That somebody has said so is kept in the farm's state, so that whoever takes over goes on.
 * @throws PhaseFailure StepTimeout, counted from when the step began to wait, or GuestNeverAnswered
 */
export async function runHandbuildStep(context: StepContext<HandbuildStep>): Promise<StepOutcome> {
  const { access, build } = context;
  // Nothing is asked of the guest meanwhile, and it may go down.
  access.link.close();
  if ((await untilContinued(context)) === 'over') throw stepTimeout(context, context.step.timeoutMs ?? 0);
  // The person may have changed the host keys too.
  await access.link.forgetHostKeys();
  await access.link.use((guest) => supervisorOf(guest, build));
  return { exitCode: null };
}

/** Looks at the beginning, when it is told that something has changed, and when time is over. */
async function untilContinued(context: StepContext<HandbuildStep>): Promise<'continued' | 'over'> {
  const { phase, step, signal } = context;
  const { store, claim, clock } = phase;
  const alarm = createAlarm(clock);
  const stop = store.onPauseChange(claim, () => alarm.ring());
  try {
    for (;;) {
      alarm.reset();
      const { state, elapsedMs } = await look(context);
      if (state !== 'waiting') return state;
      const leftMs = step.timeoutMs === null ? FOR_EVER_MS : step.timeoutMs - elapsedMs;
      await alarm.within(Math.min(Math.max(leftMs, 1), FOR_EVER_MS), signal);
      signal.throwIfAborted();
    }
  } finally {
    stop();
  }
}

function look({ phase, index, step, signal }: StepContext<HandbuildStep>): Promise<PauseState> {
  const { store, claim, clock } = phase;
  const { name, type, instructions, timeoutMs } = step;
  const about = { module: claim.spec.module.name, vm: claim.job.vm, step: index, name, type, instructions };
  const event = { event: 'handbuild-waiting', ...about } as const;
  return whileUnavailable({ clock, signal }, () => store.pause(claim, event, timeoutMs));
}
