import { namesOf, type Rule, reportRepeated, reportUnknown, reportUnlessOne } from './rule.ts';
import { reportUnlessFiles } from './rules-vm.ts';

/** The file registry and everything that names a file of it. */
export const fileRules: Rule = (body, report) => {
  const files = body.list('files');
  const known = { what: 'file', names: namesOf(files) };
  reportRepeated(files, 'name', report);
  for (const file of files) {
    reportUnlessOne(file, ['inline', 'url'], report);
    if (file.at('checksum').isPresent && !file.at('url').isPresent) {
      report(file.at('checksum'), 'Conflict', 'a checksum belongs to a file with url');
    }
  }
  reportUnlessFiles(body.at('httpDirectory'), report);
  reportRepeated(body.list('httpDirectory', 'files'), 'name', report);
  const named = [body.list('httpDirectory', 'files'), ...body.list('vms').map((vm) => vm.list('floppy', 'files'))];
  for (const reference of named.flat()) reportUnknown(reference.at('name'), known, report);
  for (const vm of body.list('vms')) {
    reportRepeated(vm.list('floppy', 'files'), 'name', report);
    for (const step of vm.list('provisioners')) reportUnknown(step.at('file', 'fileRef'), known, report);
  }
};
