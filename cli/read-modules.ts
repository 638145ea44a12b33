import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import type { ModuleProblem } from '../common/contracts/module/problem.ts';
import type { SourceFile } from '../common/contracts/module/yaml-source.ts';
import { errorMessage, FarmError } from '../common/errors/farm-error.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];
const IGNORED_DIRECTORIES = ['node_modules'];
/** Name of standard input in messages. */
const STDIN_NAME = '<stdin>';
const STDIN_DESCRIPTOR = 0;

/** The texts of module files; unreadable files are problems. */
export interface ModuleFiles {
  readonly files: readonly SourceFile[];
  readonly problems: readonly ModuleProblem[];
}

/**
 * Reads module files for `parseModules`. A path is a file, a directory (every .yaml, .yml and .json below it, sorted;
 * node_modules and what begins with a dot left out) or `-` for standard input. A file named twice is read once.
 */
export function findModuleFiles(paths: readonly string[]): ModuleFiles {
  const files = new Map<string, SourceFile>();
  const problems: ModuleProblem[] = [];
  for (const path of paths) {
    try {
      const isDirectory = path !== '-' && statSync(path).isDirectory();
      const found = isDirectory ? moduleFilesBelow(path).sort() : [path];
      if (found.length === 0) problems.push(unreadable(path, 'the directory contains no .yaml, .yml or .json file'));
      for (const file of found) {
        const identity = file === '-' ? file : resolve(file);
        if (files.has(identity)) continue;
        const read = readSource(file);
        if ('text' in read) files.set(identity, read);
        else problems.push(read);
      }
    } catch (error) {
      problems.push(unreadable(path, `cannot be read: ${errorMessage(error)}`));
    }
  }
  return { files: [...files.values()], problems };
}

/** The same for commands that cannot continue without every file: an unreadable file is an `InvalidRequest` error. */
export function readModuleFiles(paths: readonly string[]): readonly SourceFile[] {
  const { files, problems } = findModuleFiles(paths);
  const [problem] = problems;
  if (problem) throw new FarmError('InvalidRequest', `${problem.file}: ${problem.message}`);
  return files;
}

function readSource(path: string): SourceFile | ModuleProblem {
  const name = path === '-' ? STDIN_NAME : path;
  try {
    const bytes = readFileSync(path === '-' ? STDIN_DESCRIPTOR : path);
    if (isUtf8(bytes) && !bytes.includes(0)) return { path: name, text: new TextDecoder().decode(bytes) };
    return { ...unreadable(name, `is not UTF-8 text${encodingOf(bytes)}: save it as UTF-8`), ...foreignByte(bytes) };
  } catch (error) {
    return unreadable(name, `cannot be read: ${errorMessage(error)}`);
  }
}

function encodingOf(bytes: Buffer): string {
  const [first, second] = bytes;
  const hasMark = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return hasMark || bytes.subarray(0, 100).includes(0)
    ? ' but UTF-16 or something binary'
    : ' (perhaps Latin-1 or Windows-1252)';
}

/** Where the first line with a byte is that UTF-8 does not have. */
function foreignByte(bytes: Buffer): { line: number; column: number } {
  let start = 0;
  for (let line = 1; ; line++) {
    const newline = bytes.indexOf('\n', start);
    const content = bytes.subarray(start, newline === -1 ? bytes.length : newline);
    if (newline === -1 || !isUtf8(content) || content.includes(0)) return { line, column: 1 };
    start = newline + 1;
  }
}

/** Broken links are listed as files too; reading them reports the error. */
function moduleFilesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.name.startsWith('.') || IGNORED_DIRECTORIES.includes(entry.name)) return [];
    if (entry.isDirectory()) return moduleFilesBelow(path);
    const isFile =
      entry.isFile() || (entry.isSymbolicLink() && !statSync(path, { throwIfNoEntry: false })?.isDirectory());
    return isFile && EXTENSIONS.includes(extname(entry.name).toLowerCase()) ? [path] : [];
  });
}

function unreadable(path: string, message: string): ModuleProblem {
  return { file: path, line: 1, column: 1, severity: 'error', code: 'Unreadable', message };
}
