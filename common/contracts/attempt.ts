import type { FarmEvent } from './events.ts';

type Started = Pick<Extract<FarmEvent, { event: 'phase-started' }>, 'attempt' | 'again'>;

/** `attempt 2 of 3: worker lost`; empty for the first one. */
export function describeAttempt({ attempt, again }: Started): string {
  if (attempt === 1) return '';
  if (!again) return `attempt ${attempt}`;
  const which = again.of === undefined ? attempt : `${again.number} of ${again.of}`;
  return `attempt ${which}: ${again.reason.replaceAll(/\B[A-Z]/g, ' $&').toLowerCase()}`;
}
