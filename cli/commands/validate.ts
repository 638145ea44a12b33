import type { Command } from 'commander';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { notYetSupported } from '../../common/contracts/module/not-yet-supported.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors, type Problem } from '../../common/contracts/module/problem.ts';
import { counted, printJson, printLine, printNote } from '../output/print.ts';
import { countProblems, formatProblem } from '../output/problems.ts';
import { findModuleFiles } from '../read-modules.ts';
import { addModuleFlags, type ModuleFlags } from './shared-flags.ts';

interface ValidateOptions extends ModuleFlags {
  readonly strict?: true;
  readonly json?: true;
}

export function register(program: Command): void {
  const command = program
    .command('validate')
    .description('check module files and name every problem at once; needs no farm')
    .argument('<path...>', 'files, directories, or - for standard input')
    .option('--strict', 'let warnings fail too')
    .option('--json', 'print one JSON object');
  addModuleFlags(command).action(validate);
}

/** Exit code 0 when there is no error (and, with --strict, no warning), else 1. */
function validate(paths: string[], options: ValidateOptions): void {
  const read = findModuleFiles(paths);
  const strict = options.strict ?? false;
  const parsed = parseModules(read.files, { variables: options.var ?? {}, strict });
  const problems = [...read.problems, ...parsed.problems, ...problemsOfWhole(parsed.modules)];
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

/** What is only seen with all modules compiled. Problems of their graph (cycles between modules) belong here too. */
function problemsOfWhole(modules: readonly CompiledModule[]): Problem[] {
  return modules.flatMap(notYetSupported);
}
