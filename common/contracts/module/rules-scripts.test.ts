import { type RefusalRow, source, step, testRefusals } from '../../../test/harness/refused-module.ts';

/** Steps and their scripts. */
const rows: readonly RefusalRow[] = [
  { rule: 'an unknown step', yaml: step('type: §shel'), code: 'InvalidValue', part: 'did you mean "shell"?' },
  { rule: 'a step without settings', yaml: step('type: §handbuild'), code: 'MissingField', part: '"handbuild"' },
  {
    rule: 'settings of another step',
    yaml: step('type: reboot', '§shell: { inline: x }'),
    code: 'Conflict',
    part: 'does not belong to a step of type reboot',
  },
  {
    rule: 'a shell step of nothing',
    yaml: step('type: shell', '§shell: {}'),
    code: 'MissingField',
    part: 'scriptFrom',
  },
  {
    rule: 'a name that no object on a cluster has',
    yaml: step('type: file', 'file: { destination: /x, source: { secretRef: { name: §../s, key: k } } }'),
    code: 'InvalidValue',
    part: 'a name of an object',
  },
  {
    rule: 'a key that no object on a cluster has',
    yaml: step('type: shell', 'shell: { scriptFrom: { configMapRef: { name: s, key: §a/b } } }'),
    code: 'InvalidValue',
    part: 'is not a key',
  },
  {
    rule: 'a container image with a scheme',
    yaml: source('source: { containerDisk: §docker://quay.io/x }'),
    code: 'InvalidValue',
    part: 'quay.io/containerdisks',
  },
  {
    rule: 'a wrapper without its command',
    yaml: step('type: shell', 'shell: { inline: x, executeCommand: §sudo sh }'),
    code: 'InvalidValue',
    part: '{{ .Command }}',
  },
  {
    rule: 'a bad variable name for a script',
    yaml: step('type: shell', 'shell: { inline: x, env: { §A-B: c } }'),
    code: 'InvalidValue',
    part: '"A-B"',
  },
  {
    rule: 'a filter without direction',
    yaml: step('type: windows-update', 'windowsUpdate: { filters: [§"$_.Title"] }'),
    code: 'InvalidValue',
    part: 'include:',
  },
  ...(['inline: §>', 'inline: §>-'] as const).map((written) => ({
    rule: `a folded script (${written})`,
    yaml: step('type: shell', `shell:`, `  ${written}`, '    set -e', '    id'),
    code: 'Doubtful' as const,
    part: 'write them below a "|"',
    severity: 'warning' as const,
  })),
  {
    rule: "a parent's version in its name",
    yaml: source('source: { buildRef: { name: §"base:3" } }'),
    code: 'InvalidValue',
    part: 'DNS label',
  },
  {
    rule: 'an interpreter below an empty line',
    yaml: step('type: shell', 'shell: { inline: §"\\n#!/usr/bin/python3\\nprint(1)" }'),
    code: 'Doubtful',
    part: 'not the first one',
    severity: 'warning',
  },
  {
    rule: 'a no-break space in a script',
    yaml: step('type: shell', 'shell:', '  inline: |', '    set -e', '    echo§\u00a0x'),
    code: 'Doubtful',
    part: 'U+00A0',
    severity: 'warning',
  },
];

testRefusals(rows);
