/** Kind of a problem; stable, for programs. */
export type ProblemCode =
  | 'Unreadable'
  | 'Syntax'
  | 'EmptyFile'
  | 'DuplicateKey'
  | 'UnknownKind'
  | 'UnknownKey'
  | 'MissingField'
  | 'InvalidValue'
  | 'Conflict'
  | 'DuplicateName'
  | 'UnknownReference'
  | 'LocalFile'
  | 'DependencyCycle'
  | 'UnknownVariable'
  | 'MissingVariable'
  | 'MisplacedSecret'
  | 'BootCommand'
  | 'Deprecated'
  | 'Doubtful'
  | 'NotYetSupported'
  | 'TooLarge'
  | 'TooMany';

export type Severity = 'error' | 'warning';

/** Something wrong in a file that a person wrote. Line and column count from 1. */
export interface ModuleProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  readonly code: ProblemCode;
  /** One sentence with the correction. */
  readonly message: string;
}

/** A module that has errors is not compiled; warnings do no harm. */
export function hasErrors(problems: readonly { readonly severity: Severity }[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}

/** In the files' order, then by place. */
export function sortProblems<P extends Pick<ModuleProblem, 'file' | 'line' | 'column'>>(
  problems: readonly P[],
  files: readonly string[],
): P[] {
  const order = new Map(files.map((file, index) => [file, index]));
  const rank = (problem: P) => order.get(problem.file) ?? files.length;
  return problems.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column);
}
