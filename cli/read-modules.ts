import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import type { Problem } from '../common/contracts/module/problem.ts';
import type { SourceFile } from '../common/contracts/module/yaml-source.ts';
import { errorMessage, FarmError } from '../common/errors/farm-error.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];
const IGNORED_DIRECTORIES = ['node_modules', '.git'];
/** Name of standard input in messages. */
const STDIN_NAME = '<stdin>';
const STDIN_DESCRIPTOR = 0;

/** The texts of module files; what could not be read is a problem of its own. */
export interface ModuleFiles {
  readonly files: readonly SourceFile[];
  readonly problems: readonly Problem[];
}

/**
 * Reads module files for `parseModules`. A path is a file, a directory (every .yaml, .yml and .json below it, sorted;
 * node_modules and .git left out) or `-` for standard input. A file named twice is read once.
 */
export function findModuleFiles(paths: readonly string[]): ModuleFiles {
  const files = new Map<string, SourceFile>();
  const problems: Problem[] = [];
  for (const path of paths) {
    try {
      const isDirectory = path !== '-' && statSync(path).isDirectory();
      const found = isDirectory ? moduleFilesBelow(path).sort() : [path];
      if (found.length === 0) problems.push(unreadable(path, 'the directory holds no .yaml, .yml or .json file'));
      for (const file of found) {
        const identity = file === '-' ? file : resolve(file);
        if (!files.has(identity)) files.set(identity, readSource(file));
      }
    } catch (error) {
      problems.push(unreadable(path, `cannot be read: ${errorMessage(error)}`));
    }
  }
  return { files: [...files.values()], problems };
}

/** The same for commands that cannot go on without every file: what cannot be read is an `InvalidRequest` error. */
export function readModuleFiles(paths: readonly string[]): readonly SourceFile[] {
  const { files, problems } = findModuleFiles(paths);
  const [problem] = problems;
  if (problem) throw new FarmError('InvalidRequest', `${problem.file}: ${problem.message}`);
  return files;
}

function readSource(path: string): SourceFile {
  const bytes = readFileSync(path === '-' ? STDIN_DESCRIPTOR : path);
  return { path: path === '-' ? STDIN_NAME : path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
}

function moduleFilesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return IGNORED_DIRECTORIES.includes(entry.name) ? [] : moduleFilesBelow(path);
    const isFile = entry.isFile() || (entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isFile());
    return isFile && EXTENSIONS.includes(extname(entry.name)) ? [path] : [];
  });
}

function unreadable(path: string, message: string): Problem {
  return { file: path, line: 1, column: 1, severity: 'error', code: 'Unreadable', message };
}
