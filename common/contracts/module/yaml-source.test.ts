import { type RefusalRow, step, testRefusals, top, VM, vm } from '../../../test/harness/refused-module.ts';

/** YAML that means something else, or nothing. */
const rows: readonly RefusalRow[] = [
  { rule: 'an empty file', yaml: '§# nothing\n', code: 'EmptyFile', part: 'no module' },
  { rule: 'a tab as indentation', yaml: 'name: m\nvms:\n§\t- name: a\n', code: 'Syntax', part: 'tab' },
  { rule: 'an open quote', yaml: 'name: "m\n§', code: 'Syntax', part: 'quote' },
  {
    rule: 'a key that is given twice',
    yaml: top('timeout: 1h', '§timeout: 2h'),
    code: 'DuplicateKey',
    part: '"timeout"',
  },
  { rule: 'an alias without anchor', yaml: 'name: §*x\n', code: 'Syntax', part: 'must be in quotes' },
  { rule: 'a glob without quotes', yaml: step('type: shell', 'shell: { inline: §*.sh }'), code: 'Syntax', part: '"*"' },
  {
    rule: 'a negation without quotes, which YAML takes away',
    yaml: step('type: shell', 'shell: { inline: ! §grep x /y }'),
    code: 'Syntax',
    part: 'a text that begins with "!"',
  },
  {
    rule: 'a test without quotes',
    yaml: step('type: shell', 'shell:', '  inline: [ -f /x ] §&& echo y'),
    code: 'Syntax',
    part: 'unexpected text after the end of a value',
  },
  {
    rule: 'a percent sign without quotes',
    yaml: step('type: shell', 'shell:', '  inline: §%x'),
    code: 'Syntax',
    part: 'a value that begins with "%"',
  },
  {
    rule: 'a line of Jinja',
    yaml: 'name: m\n{§% if x %}\nvms: []\n',
    code: 'Syntax',
    part: 'such as Jinja',
  },
  {
    rule: 'a key that is indented more than the one above it',
    yaml: `name: m\nvms:\n- name: §a\n   ${VM}\n`,
    code: 'Syntax',
    part: 'line 4 is indented more than the key above it',
  },
  { rule: 'a type mark', yaml: 'name: §!env X\n', code: 'Syntax', part: 'a value that begins with "!"' },
  {
    rule: 'a no-break space',
    yaml: `name: m\nvms:\n\u00a0 - name: §a\n    ${VM}\n`,
    code: 'Syntax',
    part: 'U+00A0',
  },
  { rule: 'a no-break space in a key', yaml: vm('§cpuModel\u00a0: x'), code: 'UnknownKey', part: 'U+00A0' },
  {
    rule: 'a Windows path in double quotes',
    yaml: vm('bootCommand: ["C:§\\Users\\x"]'),
    code: 'Syntax',
    part: 'write two backslashes, or take single quotes',
  },
  {
    rule: 'a reference without quotes between braces',
    yaml: 'name: m\nvariables: { U: x }\nvms: [{ name: a, source: { url: $§{var.U} } }]\n',
    code: 'Syntax',
    part: 'with "${" between brackets or braces',
  },
  {
    rule: 'a line of a script that is indented less',
    yaml: `${step('type: shell', 'shell:', '  inline: |', '    set -e')}§           echo x\n`,
    code: 'Syntax',
    part: 'the text block that begins in line 8 ended before this line',
  },
  {
    rule: 'a here-document whose lines look like YAML',
    yaml: `${step('type: shell', 'shell:', '  inline: |', '    cat > /x <<E')}a: b\n§E\n            echo done\n`,
    code: 'Syntax',
    part: 'the text block that begins in line 8 ended before this line',
  },
  {
    rule: 'a script over several lines without a |',
    yaml: step('type: shell', 'shell:', '  inline: §echo one', '    echo two'),
    code: 'Doubtful',
    part: 'its lines are folded into one',
    severity: 'warning',
  },
  {
    rule: 'a comma in a description without quotes',
    yaml: top('variables: { §A: { default: x, description: one, or two } }'),
    code: 'InvalidValue',
    part: 'unknown key "or two"; a comma between braces ends a text',
  },
  {
    rule: 'a declaration of another tool, once',
    yaml: `name: m\nvariables: { §A: { type: string } }\nvms: [{ name: a, source: { url: "https://h/\${var.A}" } }]\n`,
    code: 'InvalidValue',
    part: 'unknown key "type"',
  },
  {
    rule: "Packer's execute_command",
    yaml: step('type: shell', 'shell: { inline: id, executeCommand: §"sudo env {{ .Vars }} {{ .Path }}" }'),
    code: 'InvalidValue',
    part: 'the script and its environment are both in {{ .Command }}',
  },
  ...(['{§{ .HTTPIP }}<enter>', '{ a: {§{ .Command }} }'] as const).map((value) => ({
    rule: `a template without quotes: ${value}`,
    yaml: `name: m\nvms: [{ name: a, ${VM} }]\ntimeout: ${value}\n`,
    code: 'Syntax' as const,
    part: 'must be in quotes',
  })),
  {
    rule: 'a heredoc that is indented less than its script',
    yaml: 'name: m\nvms:\n  - name: a\n    source: { blank: true }\n    shutdownCommand: |\n      cat <<EOT\n§hello\nEOT\n',
    code: 'Syntax',
    part: 'the text block that begins in line 5 ended before this line',
  },
];

testRefusals(rows);
