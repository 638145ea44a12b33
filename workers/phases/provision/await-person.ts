import { NO_DEADLINE_MS } from '../../../common/clock/clock.ts';
import type { HandbuildEvent, PauseState } from '../../../common/contracts/phase-store.ts';
import { createAlarm } from '../../../common/lifecycle/alarm.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import { supervisorOf } from '../../guest/supervisor.ts';
import type { StepContext } from './step-context.ts';

/**
 * Waits until a person who works at the machine decides how to continue, and then until the guest accepts logins again: the person
 * may have rebooted it. The decision is kept in the farm's state, so that a worker that takes over continues.
 * @throws PhaseFailure GuestNeverAnswered
 */
export async function awaitPerson(
  context: Pick<StepContext, 'phase' | 'access' | 'build' | 'signal'>,
  event: HandbuildEvent,
  limitMs: number | null,
): Promise<PauseState> {
  const { access, build } = context;
  // The guest is not used meanwhile, and may go down.
  access.link.close();
  const end = await untilAnswered(context, event, limitMs);
  if (end.state === 'over' || end.answer === 'release') return end;
  // The person may have changed the host keys too.
  await access.link.forgetHostKeys();
  await access.link.use((guest) => supervisorOf(guest, build));
  return end;
}

/** Reads the state at the beginning, on each notice, and at the deadline. */
async function untilAnswered(
  { phase, signal }: Pick<StepContext, 'phase' | 'signal'>,
  event: HandbuildEvent,
  limitMs: number | null,
): Promise<PauseState> {
  const { store, claim, clock } = phase;
  const alarm = createAlarm(clock);
  const stop = store.onPauseChange(claim, () => alarm.ring());
  try {
    for (;;) {
      alarm.reset();
      const found = await whileUnavailable({ clock, signal }, () => store.pause(claim, event, limitMs));
      if (found.state !== 'waiting') return found;
      const leftMs = limitMs === null ? NO_DEADLINE_MS : limitMs - found.elapsedMs;
      await alarm.within(Math.min(Math.max(leftMs, 1), NO_DEADLINE_MS), signal);
      signal.throwIfAborted();
    }
  } finally {
    stop();
  }
}
