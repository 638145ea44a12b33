import type { PhaseView } from '../../../common/contracts/builds.ts';
import type { Attempt } from './build-model.ts';

/** The attempts in the events, and for phases without events the last one in the view. */
export function allAttempts(started: readonly Attempt[], phases: readonly PhaseView[]): Attempt[] {
  const known = new Set(started.map(({ phase }) => phase));
  const others = phases.filter(({ phase, startedAt }) => startedAt !== null && !known.has(phase)).map(fromView);
  return [...started, ...others].toSorted((a, b) => a.startedAt - b.startedAt);
}

function fromView({ phase, state, attempts, startedAt, finishedAt, worker }: PhaseView): Attempt {
  const hasEnded = state === 'succeeded' || state === 'failed' || state === 'cancelled';
  const outcome = hasEnded ? state : finishedAt === null ? null : 'requeue';
  return { phase, number: attempts, why: '', startedAt: startedAt ?? 0, finishedAt, outcome, failure: null, worker };
}
