import { fileName } from '../text/file-name.ts';
import type { StoredEvent } from './events.ts';

type EventOf<E extends StoredEvent['event']> = Extract<StoredEvent, { event: E }>;

interface StepRun extends Pick<EventOf<'step-started'>, 'name' | 'type'> {
  /** Counts from 0. */
  readonly step: number;
  /** How often it was run before, because a person asked for it. */
  readonly attempt?: number | undefined;
}

/**
 * The part of a machine's log that a step makes, as files and addresses name it: `02-install`, `02-install-again-1` where a
 * person had it run again.
 */
export function stepPart({ step, name, type, attempt = 0 }: StepRun): string {
  const again = attempt === 0 ? '' : `-again-${attempt}`;
  return `${String(step + 1).padStart(2, '0')}-${fileName(name ?? type)}${again}`;
}

/** The part that a line belongs to: the step that runs on its machine, else its phase. */
export function partOfLine({ source, phase }: EventOf<'log'>, runningStep: string | undefined): string {
  return (source === 'step' ? runningStep : undefined) ?? phase;
}
