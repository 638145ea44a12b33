import type { LocalLookup } from '../../common/contracts/local-files.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors } from '../../common/contracts/module/problem.ts';
import { OWN_MODULES } from '../../common/contracts/module/yaml-limits.ts';
import type { SourceFile } from '../../common/contracts/module/yaml-source.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Submission } from '../client/farm-client.ts';
import { printNote } from '../output/print.ts';
import { formatProblem } from '../output/problems.ts';
import type { TransferLine } from '../output/transfer-line.ts';
import { findLocalFiles, type LocalSearch, lookupFound } from './find-local-files.ts';
import { hashLocalFiles, type LocalContentFile } from './hash-local-files.ts';

/** A submission, and the contents that the farm may request. */
export interface Prepared {
  readonly submission: Submission;
  /** Local files by SHA-256. */
  readonly contents: ReadonlyMap<string, LocalContentFile>;
  readonly lookup: LocalLookup;
}

/**
 * Reads the local files that modules name. All other checks of the modules are left to the farm.
 * @throws InvalidModule with `details.problems` when a local file does not fit its use in the module
 */
export async function prepareSubmission(
  files: readonly SourceFile[],
  search: LocalSearch,
  line: TransferLine,
): Promise<Prepared> {
  const { variables } = search;
  const found = findLocalFiles(files, search);
  if (found.size === 0) return { submission: { files, variables }, contents: new Map(), lookup: () => undefined };
  const { problems } = parseModules(files, { variables, local: lookupFound(found), mostModules: OWN_MODULES });
  const ofFiles = problems.filter(({ code }) => code === 'LocalFile');
  if (hasErrors(ofFiles)) {
    const [first] = ofFiles.filter(({ severity }) => severity === 'error');
    const sentence = `${first?.file}:${first?.line}:${first?.column}: ${first?.message}`;
    throw new FarmError('InvalidModule', sentence, { details: { problems } });
  }
  for (const doubt of ofFiles) printNote(formatProblem(doubt));
  const { entries, contents, lookup } = await hashLocalFiles(found, line);
  return { submission: { files, variables, localFiles: entries }, contents, lookup };
}
