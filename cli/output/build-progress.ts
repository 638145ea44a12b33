import logUpdate from 'log-update';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { printable } from '../../common/text/printable.ts';
import { describeEvent } from './build-lines.ts';
import { printNote } from './print.ts';

/** Shows the events of one build to whoever asked for it. */
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
export function lineOutput(stdout: NodeJS.WritableStream, buildId: string): BuildOutput {
  return {
    show: (event) => void stdout.write(`${describeEvent(event, buildId)}\n`),
    note: printNote,
    end: () => {},
  };
}

/** A board of the running machines that is redrawn in place, with finished things scrolling away above it. */
export function terminalOutput(stdout: NodeJS.WriteStream, buildId: string): BuildOutput {
  const board = new Map<string, string>();
  const draw = () => logUpdate([...board.values()].join('\n'));
  return {
    show: (event) => {
      if (event.event !== 'log' && event.event !== 'phase-started') {
        logUpdate.clear();
        stdout.write(`${describeEvent(event, buildId)}\n`);
      }
      updateBoard(board, event, stdout.columns ?? 80);
      draw();
    },
    note: (line) => {
      logUpdate.clear();
      printNote(line);
      draw();
    },
    end: () => {
      logUpdate.clear();
      logUpdate.done();
    },
  };
}

function updateBoard(board: Map<string, string>, event: StoredEvent, columns: number): void {
  if (!('vm' in event)) return;
  const key = `${event.module}/${event.vm}`;
  if (event.event === 'phase-finished') {
    board.delete(key);
    return;
  }
  const place = `  ${key} ${'phase' in event ? bar(event.phase) : bar('provision')}`;
  const what = whatHappens(event);
  if (event.event !== 'step-finished') board.set(key, `${place} ${what}`.slice(0, columns - 1));
}

function whatHappens(event: StoredEvent): string {
  if (event.event === 'log') return printable(event.line);
  if (event.event === 'step-started') return `step ${event.name ?? event.step + 1}`;
  return event.event === 'handbuild-waiting' ? `step ${event.name ?? event.step + 1}: waits for a person` : '';
}

/** `[==> ]`: how far along its four phases a machine is. */
function bar(phase: (typeof PHASES)[number]): string {
  const index = PHASES.indexOf(phase);
  return `[${'='.repeat(index)}>${' '.repeat(PHASES.length - index - 1)}] ${phase}`;
}
