import logUpdate from 'log-update';
import { systemClock } from '../../common/clock/clock.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { seconds } from '../../common/text/durations.ts';
import { lastState } from '../../common/text/last-state.ts';
import { printable } from '../../common/text/printable.ts';
import { waitingWords } from '../../common/text/waiting.ts';
import { describeEvent } from './build-lines.ts';
import { printNote } from './print.ts';

/** Shows the events of one build to the person who asked for it. */
export interface BuildOutput {
  show(event: StoredEvent): void;
  /** A line beside the build, on standard error. */
  note(line: string): void;
  /** Called once, also when the reader detaches. */
  end(): void;
}

/** One JSON object per line, as scripts read them; the stream's own ids stay out. */
export function jsonOutput(stdout: NodeJS.WritableStream): BuildOutput {
  return {
    show: ({ id: _id, time, event, ...fields }) => void stdout.write(`${JSON.stringify({ time, event, ...fields })}\n`),
    note: printNote,
    end: () => {},
  };
}

/** One sentence per line, for pipes and logs. */
export function lineOutput(
  stdout: NodeJS.WritableStream,
  buildId: string,
  { timestamps = false }: { readonly timestamps?: boolean } = {},
): BuildOutput {
  return {
    show: (event) => {
      const text = describeEvent(event, buildId);
      stdout.write(`${timestamps ? text.replaceAll(/^/gm, `${event.time} `) : text}\n`);
    },
    note: printNote,
    end: () => {},
  };
}

/** The lines of the running machines, as functions of the time. */
type Board = Map<string, (now: number) => string>;

const TICK_MS = 1_000;
/** What only the board shows; that a phase begins again is news. */
function isQuiet(event: StoredEvent): boolean {
  return event.event === 'phase-started'
    ? event.attempt === 1
    : event.event === 'log' || event.event === 'phase-waiting';
}

/** A board of the running machines that is redrawn in place, with finished things scrolling away above it. */
export function terminalOutput(stdout: NodeJS.WriteStream, buildId: string): BuildOutput {
  const board: Board = new Map();
  const draw = () => {
    const now = systemClock.now();
    const columns = stdout.columns ?? 80;
    logUpdate([...board.values()].map((line) => line(now).slice(0, columns - 1)).join('\n'));
  };
  // Elapsed times advance without events.
  const ticking = setInterval(draw, TICK_MS).unref();
  return {
    show: (event) => {
      if (!isQuiet(event)) {
        logUpdate.clear();
        stdout.write(`${describeEvent(event, buildId)}\n`);
      }
      updateBoard(board, event);
      draw();
    },
    note: (line) => {
      logUpdate.clear();
      printNote(line);
      draw();
    },
    end: () => {
      clearInterval(ticking);
      logUpdate.clear();
      logUpdate.done();
    },
  };
}

function updateBoard(board: Board, event: StoredEvent): void {
  if (!('vm' in event)) return;
  const key = `${event.module}/${event.vm}`;
  if (event.event === 'phase-finished') {
    board.delete(key);
    return;
  }
  if (event.event === 'step-finished') return;
  const place = `  ${key} ${'phase' in event ? bar(event.phase) : bar('provision')}`;
  const at = systemClock.now();
  board.set(key, (now) => `${place} ${whatHappens(event, now - at)}`);
}

/** State of a machine, with the time since its event. */
function whatHappens(event: StoredEvent, sinceMs: number): string {
  switch (event.event) {
    case 'log':
      return printable(lastState(event.line));
    case 'phase-waiting': {
      if (event.error === null) return '';
      const [elapsedMs, leftMs] = [event.elapsedMs + sinceMs, Math.max(0, event.leftMs - sinceMs)];
      return `${seconds(elapsedMs)} (${seconds(leftMs)} left): ${waitingWords(event)}`;
    }
    case 'step-started':
      return `step ${stepTitle(event)}, ${seconds(sinceMs)}`;
    case 'handbuild-waiting':
      return `step ${stepTitle(event)}: waits for you, ${seconds(sinceMs)}`;
    default:
      return seconds(sinceMs);
  }
}

function stepTitle({ name, step }: { readonly name: string | null; readonly step: number }): string {
  return name === null ? String(step + 1) : printable(name);
}

/** `[==> ]`: how far along its four phases a machine is. */
function bar(phase: (typeof PHASES)[number]): string {
  const index = PHASES.indexOf(phase);
  return `[${'='.repeat(index)}>${' '.repeat(PHASES.length - index - 1)}] ${phase}`;
}
