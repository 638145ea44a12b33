import { seconds } from '../../../common/text/durations.ts';
import { type BuildLog, type BuildLogLine, type LogPart, partKey } from './build-log.ts';
import { isAfter } from './event-id.ts';

/** Filter of a log. */
export interface LogWish {
  /** `<module>/<vm>`; null: all machines. */
  readonly machine: string | null;
  /** A phase with its steps, or one step with all of its runs, by `LogPart.id`; null: all parts. */
  readonly part: string | null;
  /** Text that lines must contain, ignoring case; empty: all lines. */
  readonly search: string;
}

/** A heading, or a line below it. */
export type LogEntry =
  | { readonly kind: 'line'; readonly line: BuildLogLine }
  | {
      readonly kind: 'heading';
      /** Unique among the entries. */
      readonly key: string;
      readonly machine: string;
      readonly id: string;
      /** Undefined where the farm keeps its lines and not its start. */
      readonly part: LogPart | undefined;
    };

/** The parts of a machine's log, or of all, in the order of their starts. */
export function partsOf(log: BuildLog, machine: string | null): LogPart[] {
  return [...log.parts.values()].filter((part) => machine === null || part.machine === machine);
}

/** The lines of the selected machine and part; a search comes after. */
export function linesOf(log: BuildLog, { machine, part }: Pick<LogWish, 'machine' | 'part'>): readonly BuildLogLine[] {
  if (machine === null) return log.lines;
  if (part === null) return log.lines.filter((line) => line.machine === machine);
  const selected = new Set(selectedParts(log, machine, part).map(({ id }) => id)).add(part);
  return log.lines.filter((line) => line.machine === machine && selected.has(line.part));
}

function selectedParts(log: BuildLog, machine: string, part: string): LogPart[] {
  return partsOf(log, machine).filter(
    ({ id, phase }) => id === part || phase === part || id.startsWith(`${part}-again-`),
  );
}

/** Pattern of the searched text, without groups, so that `split` with it in a group alternates between text and hit. */
export function patternOf(search: string): string {
  return search.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

export function hitsOf(lines: readonly BuildLogLine[], search: string): readonly BuildLogLine[] {
  if (search === '') return lines;
  const pattern = new RegExp(patternOf(search), 'i');
  return lines.filter(({ text }) => pattern.test(text));
}

/** Lines, and whether others before them are left out. */
interface LineRun {
  readonly lines: readonly BuildLogLine[];
  readonly isCut: boolean;
}

/**
 * Lines with a heading wherever a part begins, and wherever its machine has come to another one. Without the former while a
 * text is searched for, and of parts that began before lines that are left out (`isCut`).
 */
export function entriesOf(log: BuildLog, wish: LogWish, { lines, isCut }: LineRun): LogEntry[] {
  const starts = startsOf(log, wish, isCut ? lines[0] : undefined);
  const entries: LogEntry[] = [];
  const current = new Map<string, string>();
  const head = (machine: string, id: string, cause: string) => {
    const name = partKey({ machine, id });
    current.set(machine, id);
    entries.push({ kind: 'heading', key: `${name} ${cause}`, machine, id, part: log.parts.get(name) });
  };
  let next = 0;
  for (const line of lines) {
    for (let part = starts[next]; part && isAfter(line.id, part.eventId); part = starts[++next]) {
      head(part.machine, part.id, part.eventId);
    }
    if (current.get(line.machine) !== line.part) head(line.machine, line.part, line.id);
    entries.push({ kind: 'line', line });
  }
  for (const { machine, id, eventId } of starts.slice(next)) head(machine, id, eventId);
  return entries;
}

/** The parts that are headed where they begin, in the order of their starts. */
function startsOf(log: BuildLog, { machine, part, search }: LogWish, from: BuildLogLine | undefined): LogPart[] {
  if (search !== '') return [];
  const parts = machine !== null && part !== null ? selectedParts(log, machine, part) : partsOf(log, machine);
  return parts
    .filter(({ eventId }) => !from || isAfter(eventId, from.id))
    .toSorted((a, b) => (isAfter(a.eventId, b.eventId) ? 1 : -1));
}

/** How long a part has taken, in milliseconds. */
export function tookMs({ startedAt, finishedAt }: LogPart, now: number): number {
  return Math.max(0, (finishedAt ?? now) - startedAt);
}

/** The entries as a file: every line with its time in front, and its machine where they are of several. */
export function logText(
  entries: readonly LogEntry[],
  { machine, now }: { machine: string | null; now: number },
): string {
  return entries
    .map((entry, index) => {
      if (entry.kind === 'line') {
        const { at, text, machine: who } = entry.line;
        return `${new Date(at).toISOString()} ${machine === null ? `${who} ` : ''}${text}\n`;
      }
      const { part, id, machine: who } = entry;
      const next = entries[index + 1];
      const at = part?.startedAt ?? (next?.kind === 'line' ? next.line.at : now);
      const state = part ? ` (${part.outcome ?? 'running'}, ${seconds(tookMs(part, now))})` : '';
      return `${new Date(at).toISOString()} == ${who} ${part?.title ?? id}${state}\n`;
    })
    .join('');
}
