import type { StoredEvent } from '../../../common/contracts/events.ts';
import { partOfLine, stepPart } from '../../../common/contracts/log-part.ts';
import type { Phase } from '../../../common/contracts/phases.ts';
import { printable } from '../../../common/text/printable.ts';
import { vmKey } from './vm-key.ts';

/** More lines than a person reads; `slipway logs` has them all. */
const MAX_LINES = 20_000;

/** One line of a guest or of the farm; cleaned for display. */
export interface BuildLogLine {
  readonly id: string;
  /** `<module>/<vm>`. */
  readonly machine: string;
  /** `id` of the part of that machine's log. */
  readonly part: string;
  readonly at: number;
  readonly text: string;
}

/** One section of a machine's log: a phase, or one run of a step. Times are milliseconds since the epoch. */
export interface LogPart {
  readonly machine: string;
  /** As the archive of the build names its file: `provision`, `02-install`. */
  readonly id: string;
  readonly phase: Phase;
  /** Fit to be shown: `provision`, `2. install`. */
  readonly title: string;
  /** The event that it began with. */
  readonly eventId: string;
  readonly startedAt: number;
  /** Null while it runs. */
  readonly finishedAt: number | null;
  /** Null while it runs. `requeue`: the farm tries again. */
  readonly outcome: 'succeeded' | 'failed' | 'cancelled' | 'requeue' | null;
}

export interface BuildLog {
  readonly lines: readonly BuildLogLine[];
  /** Lines that were let go. */
  readonly droppedLines: number;
  /** By `partKey`, in the order of their first starts. */
  readonly parts: ReadonlyMap<string, LogPart>;
  /** By machine: the `id` of the step that runs. */
  readonly runningSteps: ReadonlyMap<string, string>;
}

export const EMPTY_LOG: BuildLog = { lines: [], droppedLines: 0, parts: new Map(), runningSteps: new Map() };

export function partKey({ machine, id }: Pick<LogPart, 'machine' | 'id'>): string {
  return `${machine}/${id}`;
}

/** Adds events to the log; they come in order, each of them once. */
export function addToLog(log: BuildLog, events: readonly StoredEvent[]): BuildLog {
  const parts = new Map(log.parts);
  const runningSteps = new Map(log.runningSteps);
  const added: BuildLogLine[] = [];
  for (const event of events) {
    if (event.event === 'log') added.push(lineOf(event, runningSteps));
    else changeParts({ parts, runningSteps }, event);
  }
  const lines = added.length === 0 ? log.lines : [...log.lines, ...added];
  const dropped = Math.max(0, lines.length - MAX_LINES);
  return {
    lines: dropped === 0 ? lines : lines.slice(dropped),
    droppedLines: log.droppedLines + dropped,
    parts,
    runningSteps,
  };
}

type EventOf<E extends StoredEvent['event']> = Extract<StoredEvent, { event: E }>;

function lineOf(event: EventOf<'log'>, runningSteps: BuildLog['runningSteps']): BuildLogLine {
  const { id, module, vm, time, line } = event;
  const machine = vmKey(module, vm);
  const part = partOfLine(event, runningSteps.get(machine));
  return { id, machine, part, at: Date.parse(time), text: printable(line) };
}

interface Changing {
  readonly parts: Map<string, LogPart>;
  readonly runningSteps: Map<string, string>;
}

function changeParts({ parts, runningSteps }: Changing, event: StoredEvent): void {
  switch (event.event) {
    case 'phase-started':
      // The worker of the former attempt was lost: the end of its step was not reported.
      for (const [key, part] of parts) {
        const isLost = part.outcome === null && part.machine === vmKey(event.module, event.vm);
        if (isLost) parts.set(key, { ...part, outcome: 'requeue', finishedAt: Date.parse(event.time) });
      }
      begin(parts, event, { id: event.phase, phase: event.phase, title: event.phase });
      break;
    case 'phase-finished':
      end(parts, event, (part) => part.machine === vmKey(event.module, event.vm) && part.phase === event.phase);
      break;
    case 'step-started': {
      const id = stepPart(event);
      runningSteps.set(vmKey(event.module, event.vm), id);
      begin(parts, event, { id, phase: 'provision', title: stepTitle(event) });
      break;
    }
    case 'step-finished':
      runningSteps.delete(vmKey(event.module, event.vm));
      end(parts, event, (part) => partKey(part) === `${vmKey(event.module, event.vm)}/${stepPart(event)}`);
      break;
    case 'module-finished':
      end(parts, event, ({ machine }) => machine.startsWith(`${event.module}/`));
  }
}

function stepTitle({ step, name, type, attempt = 0 }: EventOf<'step-started'>): string {
  return `${step + 1}. ${printable(name ?? type)}${attempt === 0 ? '' : ` (again, ${attempt})`}`;
}

function begin(
  parts: Map<string, LogPart>,
  { id: eventId, module, vm, time }: EventOf<'phase-started'> | EventOf<'step-started'>,
  about: Pick<LogPart, 'id' | 'phase' | 'title'>,
): void {
  const part = { ...about, machine: vmKey(module, vm), eventId, startedAt: Date.parse(time) };
  parts.set(partKey(part), { ...part, finishedAt: null, outcome: null });
}

/** Ends those that have not ended. */
function end(
  parts: Map<string, LogPart>,
  { outcome, time }: EventOf<'phase-finished'> | EventOf<'step-finished'> | EventOf<'module-finished'>,
  isMeant: (part: LogPart) => boolean,
): void {
  for (const [key, part] of parts) {
    if (part.outcome === null && isMeant(part)) parts.set(key, { ...part, outcome, finishedAt: Date.parse(time) });
  }
}
