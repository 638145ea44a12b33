import { type RefusalRow, step, testRefusals, top, vm } from '../../../test/harness/refused-module.ts';

/** Files. */
const rows: readonly RefusalRow[] = [
  { rule: 'a file of nothing', yaml: top('files:', '  - §name: f'), code: 'MissingField', part: 'inline, url' },
  {
    rule: 'a file of two origins',
    yaml: top('files: [{ name: f, inline: x, url: §"http://e/x" }]'),
    code: 'Conflict',
    part: 'inline and url',
  },
  {
    rule: 'a file in a directory',
    yaml: top('files: [{ name: §a/b, inline: x }]'),
    code: 'InvalidValue',
    part: 'director',
  },
  {
    rule: 'two files of one name',
    yaml: top('files: [{ name: f, inline: x }, { name: §f, inline: y }]'),
    code: 'DuplicateName',
    part: '"f"',
  },
  {
    rule: 'an unknown file over HTTP',
    yaml: top('files: [{ name: answers.cfg, inline: x }]', 'httpDirectory: { files: [{ name: §answer.cfg }] }'),
    code: 'UnknownReference',
    part: 'did you mean "answers.cfg"?',
  },
  {
    rule: 'an empty HTTP directory',
    yaml: top('httpDirectory: { §files: [] }'),
    code: 'MissingField',
    part: 'one file',
  },
  {
    rule: 'an unknown file on a floppy',
    yaml: vm('floppy: { files: [{ name: §x }] }'),
    code: 'UnknownReference',
    part: '"x"',
  },
  {
    rule: 'an unknown file of a step',
    yaml: step('type: file', 'file: { fileRef: §x, destination: /x }'),
    code: 'UnknownReference',
    part: 'no file is declared',
  },
];

testRefusals(rows);
