import { seconds } from '../../../common/text/durations.ts';
import type { Attempt } from '../state/build-model.ts';
import { barsOf, type Span } from '../state/timeline.ts';

interface BarsProps {
  readonly attempts: readonly Attempt[];
  readonly span: Span;
  readonly now: number;
}

/** Attempts as bars on a line of time, coloured by phase; unsuccessful ones are hatched. Print the numbers beside it. */
export function Bars({ attempts, span, now }: BarsProps) {
  return (
    <svg class="bars" viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="1000" height="14" />
      {barsOf(attempts, span, now).map(({ attempt, from, width, durationMs }) => (
        <rect
          key={`${attempt.phase} ${attempt.startedAt}`}
          class={`bar phase-${attempt.phase} outcome-${attempt.outcome ?? 'running'}`}
          x={from * 1000}
          width={width * 1000}
          height="14"
        >
          <title>{`${attempt.phase} ${attempt.outcome ?? 'running'}, ${seconds(durationMs)}`}</title>
        </rect>
      ))}
    </svg>
  );
}
