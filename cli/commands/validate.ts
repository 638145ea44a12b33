import type { Command } from 'commander';
import { notYetSupported } from '../../common/contracts/module/not-yet-supported.ts';
import { type ParseResult, parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors, sortProblems } from '../../common/contracts/module/problem.ts';
import { listProblems } from '../../common/contracts/module/problem-list.ts';
import { OWN_MODULES } from '../../common/contracts/module/yaml-limits.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { graphProblems } from '../../scheduler/graph/graph-problems.ts';
import { findLocalFiles, lookupFound } from '../local-files/find-local-files.ts';
import { counted, printJson, printLine, printNote } from '../output/print.ts';
import { countProblems, formatProblem } from '../output/problems.ts';
import { findModuleFiles } from '../read-modules.ts';
import { readVariables } from '../read-variables.ts';
import { addModuleFlags, type ModuleFlags } from './shared-flags.ts';

interface ValidateOptions extends ModuleFlags {
  readonly strict?: true;
  readonly json?: true;
}

export function register(program: Command): void {
  const command = program
    .command('validate')
    .description('check module files and list all problems; needs no farm')
    .argument('<path...>', 'files, directories, or - for standard input')
    .option('--strict', 'treat warnings as errors')
    .option('--json', 'print one JSON object');
  addModuleFlags(command).action(validate);
}

/** Exit code 0 without errors (and, with --strict, without warnings), else 1. */
function validate(paths: string[], options: ValidateOptions): void {
  const read = findModuleFiles(paths);
  const strict = options.strict ?? false;
  const variables = readVariables(read.files, options);
  const found = findLocalFiles(read.files, { variables, allowOutside: options.allowOutside ?? false });
  const parsed = parseModules(read.files, {
    ...{ variables, strict, local: lookupFound(found) },
    mostModules: OWN_MODULES,
  });
  const problems = listProblems(
    sortProblems<Problem>(
      [...read.problems, ...parsed.problems, ...problemsOfWhole(parsed)],
      read.files.map((file) => file.path),
    ),
  );
  const ok = strict ? problems.length === 0 : !hasErrors(problems);
  process.exitCode = ok ? 0 : 1;
  if (options.json) {
    printJson({ ok, problems });
    return;
  }
  for (const problem of problems) printLine(formatProblem(problem));
  const checked = `${counted(parsed.modules.length, 'module')} in ${counted(read.files.length, 'file')}`;
  printNote(problems.length === 0 ? `${checked}: no problems` : countProblems(problems));
}

/** Problems that only show with all modules compiled. A module that was not compiled for its errors is not an unknown parent. */
function problemsOfWhole({ modules, problems }: ParseResult): Problem[] {
  const isWhole = !hasErrors(problems);
  const found = graphProblems(modules).filter((problem) => isWhole || problem.code !== 'UnknownModule');
  return [...modules.flatMap(notYetSupported), ...found];
}
