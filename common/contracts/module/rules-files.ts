import type { Cursor } from './cursor.ts';
import { fileNameOf } from './local-content.ts';
import { type Report, type Rule, reportRepeated, reportUnknown, reportUnlessOne } from './rule.ts';
import { reportUnlessFiles } from './rules-vm.ts';

/** The file registry and everything that names a file of it. */
export const fileRules: Rule = (body, report) => {
  const files = body.list('files');
  const known = { what: 'file', names: new Set(files.map(nameOfFile)) };
  reportRepeatedFiles(files, report);
  for (const file of files) {
    reportUnlessOne(file, ['inline', 'url', 'path'], report);
    if (!file.at('name').isPresent && !file.at('path').isPresent)
      report(file.at('name'), 'MissingField', 'is required');
    if (file.at('checksum').isPresent && !file.at('url').isPresent) {
      report(file.at('checksum'), 'Conflict', 'a checksum belongs to a file with url');
    }
  }
  const served = body.at('httpDirectory');
  reportUnlessFiles(served, report);
  if (served.isPresent && !served.at('files').isPresent && !served.at('path').isPresent) {
    report(served, 'MissingField', 'needs files, path or both');
  }
  reportRepeated(body.list('httpDirectory', 'files'), 'name', report);
  const named = [body.list('httpDirectory', 'files'), ...body.list('vms').map((vm) => vm.list('floppy', 'files'))];
  for (const reference of named.flat()) reportUnknown(reference.at('name'), known, report);
  for (const vm of body.list('vms')) {
    reportRepeated(vm.list('floppy', 'files'), 'name', report);
    for (const step of vm.list('provisioners')) reportUnknown(step.at('file', 'fileRef'), known, report);
  }
};

/** Of a local file by default the last part of its path. */
export function nameOfFile(file: Cursor): string {
  return file.at('name').text ?? fileNameOf(file.at('path').text ?? '');
}

function reportRepeatedFiles(files: readonly Cursor[], report: Report): void {
  const seen = new Set<string>();
  for (const file of files) {
    const name = nameOfFile(file);
    const at = file.at(file.at('name').isPresent ? 'name' : 'path');
    if (name !== '' && seen.has(name)) report(at, 'DuplicateName', `"${name}" is already used`);
    if (name === '.' || name === '..')
      report(at, 'MissingField', `"${name}" is not a file name: name the file with name`);
    seen.add(name);
  }
}
