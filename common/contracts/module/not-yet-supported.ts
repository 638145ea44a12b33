import type { CompiledModule, UnsupportedField } from './compiled.ts';
import { type Cursor, formatPath } from './cursor.ts';
import type { ModuleProblem } from './problem.ts';
import { UNSUPPORTED_STEP_TYPES } from './step-types.ts';
import type { SourceDocument } from './yaml-source.ts';

interface UnsupportedRow {
  /** Path in the body; `[]` stands for every item of a list. */
  readonly path: string;
  /** Values that cannot be executed; without it every value. */
  readonly values?: readonly unknown[];
  /** Subject of the sentence "… not supported yet". */
  readonly what: string;
}

/** Everything that is in the model but cannot be executed by this version. It is refused at submission, never ignored. */
export const NOT_YET_SUPPORTED: readonly UnsupportedRow[] = [
  ...UNSUPPORTED_STEP_TYPES.map((type) => ({
    path: 'vms[].provisioners[].type',
    values: [type],
    what: `steps of type ${type} are`,
  })),
  { path: 'vms[].communicator.shell', values: ['powershell'], what: 'the shell powershell is' },
];

/** The fields of a body that this version cannot execute. */
export function unsupportedFields(source: SourceDocument, body: Cursor): UnsupportedField[] {
  const fields = NOT_YET_SUPPORTED.flatMap(({ path, values, what }) =>
    expand(body, path)
      .filter(({ isPresent, value }) => isPresent && (values === undefined || values.includes(value)))
      .map((at) => ({ path: at.path, message: `${what} not supported yet` })),
  );
  return fields.map(({ path, message }) => ({
    ...source.locate(path),
    path: formatPath(path.slice(body.path.length)),
    message,
  }));
}

function expand(body: Cursor, path: string): Cursor[] {
  let found = [body];
  for (const step of path.match(/\w+|\[\]/g) ?? []) {
    if (step === '[]') found = found.flatMap((cursor) => cursor.list());
    else found = found.map((cursor) => cursor.at(step));
  }
  return found;
}

/** Unsupported features of a module; `validate` warns of them, a submission is refused. */
export function notYetSupported(module: CompiledModule): ModuleProblem[] {
  return module.notYetSupported.map(({ file, line, column, path, message }) => ({
    file,
    line,
    column,
    severity: 'warning',
    code: 'NotYetSupported',
    message: `${path}: ${message}`,
  }));
}
