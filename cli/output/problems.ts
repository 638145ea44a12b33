import type { Problem } from '../../common/contracts/problems.ts';
import { printable } from '../../common/text/printable.ts';
import { counted, paint, printJson, printLine, printNote } from './print.ts';

/** `file:line:column: error: message (Code)`, as editors and CI jump to it. */
export function formatProblem(problem: Problem): string {
  const place = `${printable(problem.file)}:${problem.line}:${problem.column}:`;
  const severity = paint(problem.severity === 'error' ? 'red' : 'yellow', `${problem.severity}:`);
  return `${place} ${severity} ${printable(problem.message)} ${paint('dim', `(${problem.code})`)}`;
}

/** `2 errors, 1 warning`. */
export function countProblems(problems: readonly Problem[]): string {
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  return `${counted(errors, 'error')}, ${counted(problems.length - errors, 'warning')}`;
}

/** Every problem of the modules that a command was given, and how many they are. */
export function printProblems(problems: readonly Problem[], isJson: boolean): void {
  if (isJson) {
    printJson({ ok: false, problems });
    return;
  }
  for (const problem of problems) printLine(formatProblem(problem));
  printNote(countProblems(problems));
}
