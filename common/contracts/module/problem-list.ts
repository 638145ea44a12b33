import type { Problem as ForeignProblem } from '../problems.ts';
import { withoutPasswords } from './parsed.ts';
import { type ModuleProblem, type Severity, sortProblems } from './problem.ts';

/** At most this many problems of each severity are listed; the others are counted. */
export const MAX_LISTED = 200;

/** The problems of some files as they are found: each is counted, and described while there are few. */
export class ProblemList {
  readonly #listed: Record<Severity, ModuleProblem[]> = { error: [], warning: [] };
  readonly #omitted: Record<Severity, number> = { error: 0, warning: 0 };
  readonly #known = new Set<string>();

  /** The same message at the same place counts once. Looking for the place takes time: `describe` is not always called. */
  add(severity: Severity, describe: () => ModuleProblem): void {
    const listed = this.#listed[severity];
    if (listed.length >= MAX_LISTED) {
      this.#omitted[severity] += 1;
      return;
    }
    const problem = describe();
    // One slip makes the reader of YAML stumble several times over a line.
    const column = problem.code === 'Syntax' ? 1 : problem.column;
    const key = JSON.stringify([problem.file, problem.line, column, problem.message]);
    if (this.#known.has(key)) return;
    this.#known.add(key);
    listed.push({ ...problem, severity, message: withoutPasswords(problem.message) });
  }

  /** The problems, ordered by file and position, and the number of the ones left out. */
  sorted(files: readonly string[]): ModuleProblem[] {
    const { error, warning } = this.#listed;
    return cut(sortProblems([...error, ...warning], files), this.#omitted);
  }
}

/** At most `MAX_LISTED` of some problems, errors before warnings, and how many more there are; in the order given. */
export function listProblems<P extends ForeignProblem>(problems: readonly P[]): (P | ModuleProblem)[] {
  return cut(problems, { error: 0, warning: 0 });
}

function cut<P extends ForeignProblem>(
  problems: readonly P[],
  omitted: Readonly<Record<Severity, number>>,
): (P | ModuleProblem)[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  const keptErrors = errors.slice(0, MAX_LISTED);
  const keptWarnings = warnings.slice(0, MAX_LISTED - keptErrors.length);
  const kept = new Set<P>([...keptErrors, ...keptWarnings]);
  const more = {
    error: omitted.error + errors.length - keptErrors.length,
    warning: omitted.warning + warnings.length - keptWarnings.length,
  };
  const listed = problems.filter((problem) => kept.has(problem));
  const last = listed.at(-1);
  if (!last || more.error + more.warning === 0) return [...listed];
  const { file, line, column } = last;
  const severity = more.error > 0 ? 'error' : 'warning';
  const message = `${more.error} more errors and ${more.warning} more warnings are not listed: correct these first`;
  return [...listed, { file, line, column, severity, code: 'TooMany', message }];
}
