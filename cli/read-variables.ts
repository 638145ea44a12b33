import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { parseEnv } from 'node:util';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { declaredVariables } from '../common/contracts/module/parse.ts';
import { didYouMean } from '../common/contracts/module/suggest.ts';
import type { SourceFile } from '../common/contracts/module/yaml-source.ts';
import { errorMessage, FarmError } from '../common/errors/farm-error.ts';
import { printable } from '../common/text/printable.ts';
import { printNote } from './output/print.ts';

/** `--var` and `--var-file`, as given. */
export interface VariableFlags {
  readonly var?: Record<string, string>;
  readonly varFile?: readonly string[];
}

const PREFIX = 'SLIPWAY_VAR_';

/**
 * Values of the variables that the modules declare: from `SLIPWAY_VAR_NAME`, then from each `--var-file`, then from
 * `--var`; later ones win. The environment and files may hold values for other modules too: those are left out, and of
 * files this is noted. Names of `--var` are kept, so that an undeclared one is a problem.
 * @throws InvalidRequest when a file cannot be read
 */
export function readVariables(
  modules: readonly SourceFile[],
  { var: given = {}, varFile: files = [] }: VariableFlags,
  environment: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const named = Object.entries(environment).filter(([name]) => name.startsWith(PREFIX));
  if (named.length === 0 && files.length === 0) return given;
  const declared = declaredVariables(modules);
  const values: Record<string, string> = {};
  for (const [name, value] of named) {
    const variable = name.slice(PREFIX.length);
    if (declared.has(variable) && value !== undefined) values[variable] = value;
  }
  for (const file of files) {
    for (const [name, value] of Object.entries(readVariableFile(file))) {
      if (declared.has(name)) values[name] = value;
      else
        printNote(
          `${printable(`${file}: no module declares the variable "${name}"${didYouMean(name, [...declared])}`)}`,
        );
    }
  }
  return { ...values, ...given };
}

/** A flat map of texts. Scalars count as they are written: `08` stays `08`, `yes` stays `yes`. */
function readVariableFile(file: string): Record<string, string> {
  try {
    const text = readFileSync(file, 'utf8');
    if (extname(file) === '.env' || file.endsWith('/.env') || file === '.env')
      return parseEnv(text) as Record<string, string>;
    const document = parseDocument(text, { schema: 'failsafe' });
    const [error] = document.errors;
    if (error) throw error;
    return z.record(z.string(), z.string()).parse(document.toJS() ?? {});
  } catch (cause) {
    const why = cause instanceof z.ZodError ? 'it must map each name to one text' : errorMessage(cause);
    throw new FarmError('InvalidRequest', `The variables in ${file} cannot be read: ${why}.`, { cause });
  }
}
