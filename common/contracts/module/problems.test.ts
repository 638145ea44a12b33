import { describe, expect, it, test } from 'vitest';
import { parseModules } from './parse.ts';
import type { ProblemCode } from './problem.ts';

/** `§` marks the place that the problem must name. */
interface Row {
  readonly rule: string;
  readonly yaml: string;
  readonly code: ProblemCode;
  readonly part: string;
  readonly severity?: 'warning';
}

const VM = 'source: { blank: true }';

/** The bare form with one VM `a` and these further lines of it. */
function vm(...lines: string[]): string {
  return ['name: m', 'vms:', '  - name: a', ...[VM, ...lines].map((line) => `    ${line}`), ''].join('\n');
}

/** The bare form with one VM `a` and these further top-level lines. */
function top(...lines: string[]): string {
  return ['name: m', ...lines, 'vms:', '  - name: a', `    ${VM}`, ''].join('\n');
}

function source(...lines: string[]): string {
  return ['name: m', 'vms:', '  - name: a', ...lines.map((line) => `    ${line}`), ''].join('\n');
}

function step(...lines: string[]): string {
  return vm('provisioners:', ...lines.map((line, index) => (index === 0 ? `  - ${line}` : `    ${line}`)));
}

function lan(nics: string, subnet = 'cidr: 10.1.0.0/24'): string {
  return top('network:', '  vpcs: [{ name: v }]', `  subnets: [{ name: lan, vpc: v, ${subnet} }]`).replace(
    VM,
    `${VM}\n    nics: ${nics}`,
  );
}

const rows: readonly Row[] = [
  // the document
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
  ...Object.entries({
    'file:https://h/SHA256SUMS': 'a list of checksums is not fetched',
    none: 'remove the key',
    'sha256=2c26b46b': 'write a colon between the algorithm and the digits',
    'sha256:2c26b46b': 'a sha256 has 64 hexadecimal digits, this has 8',
    '2c26b46b  x.qcow2': 'without the name of the file',
  }).map(([written, part]) => {
    const yaml = source(`source: { url: "https://h/x", checksum: §"${written}" }`);
    return { rule: `the checksum "${written}"`, yaml, code: 'InvalidValue', part } as const;
  }),
  {
    rule: 'a login before the name of a container image',
    yaml: source('source: { containerDisk: §"ci:hunter2@quay.io/c/fedora" }'),
    code: 'InvalidValue',
    part: '"***@quay.io/c/fedora" is not a container image reference',
  },
  {
    rule: "a file of Packer's",
    yaml: '§source "qemu" "x" {\n  iso_url = "https://h/x.iso"\n}\n',
    code: 'UnknownKind',
    part: 'docs/from-packer.md',
  },
  { rule: "a template of Packer's", yaml: '§{ "builders": [] }\n', code: 'UnknownKind', part: 'docs/from-packer.md' },
  {
    rule: 'a Vagrantfile',
    yaml: '§Vagrant.configure("2") do |config|\nend\n',
    code: 'UnknownKind',
    part: 'Vagrantfile',
  },
  { rule: 'user data alone', yaml: '§#cloud-config\npackages: [a]\n', code: 'UnknownKind', part: 'cloudInit.userData' },
  { rule: 'a list as document', yaml: '§- a\n', code: 'UnknownKind', part: 'map' },
  { rule: 'a foreign kind', yaml: 'apiVersion: v1\nkind: §Secret\n', code: 'UnknownKind', part: '"Secret"' },
  {
    rule: 'a wrong apiVersion',
    yaml: `apiVersion: §slipway.dev/v2\nkind: Module\nmetadata: { name: m }\nspec: { vms: [{ name: a, ${VM} }] }\n`,
    code: 'InvalidValue',
    part: 'did you mean "slipway.dev/v1"?',
  },
  {
    rule: 'metadata without a name',
    yaml: `apiVersion: slipway.dev/v1\nkind: Module\n§metadata: {}\nspec: { vms: [{ name: a, ${VM} }] }\n`,
    code: 'MissingField',
    part: 'metadata.name: is required',
  },
  {
    rule: 'a module without spec',
    yaml: 'apiVersion: slipway.dev/v1\nkind: Module\nmetadata: { name: m }\n§spec:\n',
    code: 'InvalidValue',
    part: 'spec: has no value',
  },
  {
    rule: 'a name that is not a label',
    yaml: top().replace('name: m', 'name: §M_1'),
    code: 'InvalidValue',
    part: 'DNS label',
  },
  { rule: 'a module without VMs', yaml: 'name: m\n§vms: []\n', code: 'MissingField', part: 'at least one VM' },
  { rule: 'no list of VMs', yaml: '§name: m\n', code: 'MissingField', part: 'vms: is required' },
  { rule: 'a misspelt key', yaml: top('§timout: 1h'), code: 'UnknownKey', part: 'did you mean "timeout"?' },
  {
    rule: 'a key of other case',
    yaml: vm('§bootcommand: []'),
    code: 'UnknownKey',
    part: 'did you mean "bootCommand"?',
  },
  { rule: 'a key at the wrong level', yaml: vm('§memory: 1Gi'), code: 'UnknownKey', part: 'belongs under "resources"' },
  {
    rule: "a key at the wrong level in Packer's spelling",
    yaml: vm('§ssh_username: root'),
    code: 'UnknownKey',
    part: 'belongs under "communicator" as "sshUsername"',
  },
  {
    rule: 'a text in place of a map',
    yaml: step('type: file', 'file: { source: §./site.conf, destination: /etc/x }'),
    code: 'InvalidValue',
    part: 'its keys are configMapRef, secretRef',
  },
  { rule: 'a key without value', yaml: vm('§cloudInit:'), code: 'InvalidValue', part: 'has no value' },
  { rule: 'a map in place of a list', yaml: top('§files: { a: b }'), code: 'InvalidValue', part: 'must be a list' },
  {
    rule: 'a deprecated key',
    yaml: top('§output: { s3: x }'),
    code: 'Deprecated',
    part: 'no effect',
    severity: 'warning',
  },
  // scalars
  { rule: 'a spoken duration', yaml: top('timeout: §5 minutes'), code: 'InvalidValue', part: 'write "5m"' },
  { rule: 'a duration in days', yaml: top('timeout: §2d'), code: 'InvalidValue', part: 'write "48h"' },
  { rule: 'a duration without unit', yaml: top('timeout: §90'), code: 'InvalidValue', part: 'write "90s"' },
  { rule: 'a duration of nothing', yaml: top('timeout: §0s'), code: 'InvalidValue', part: 'longer than zero' },
  { rule: 'a negative number', yaml: top('retries: §-1'), code: 'InvalidValue', part: 'from 0 to 100' },
  { rule: 'a spoken size', yaml: vm('resources: { memory: §4 GB }'), code: 'InvalidValue', part: 'write "4Gi"' },
  { rule: 'no size', yaml: vm('resources: { memory: §0 }'), code: 'InvalidValue', part: 'not a size' },
  { rule: 'a word for CPUs', yaml: vm('resources: { cpu: §two }'), code: 'InvalidValue', part: '"500m"' },
  {
    rule: 'a foreign bus',
    yaml: vm('disks: [{ name: d, size: 1Gi, bus: §sat }]'),
    code: 'InvalidValue',
    part: '"sata"',
  },
  {
    rule: 'a boot disk on the usb bus',
    yaml: vm('disks: [{ name: d, size: 1Gi, bus: §usb }, { name: e, size: 1Gi, bus: usb }]'),
    code: 'InvalidValue',
    part: 'the first disk is the boot disk',
  },
  { rule: 'a disk without size', yaml: vm('disks:', '  - §name: d'), code: 'MissingField', part: 'disks[0].size' },
  { rule: 'a spoken truth value', yaml: vm('invisible: §yes'), code: 'InvalidValue', part: 'write true' },
  {
    rule: 'a number for text',
    yaml: vm('communicator: { sshPassword: §1.10 }'),
    code: 'InvalidValue',
    part: 'in quotes',
  },
  { rule: 'a port out of range', yaml: vm('communicator: { sshPort: §70000 }'), code: 'InvalidValue', part: '65535' },
  {
    rule: 'a short checksum',
    yaml: vm('isos: [{ url: "http://e/x", checksum: §abc }]'),
    code: 'InvalidValue',
    part: '64',
  },
  { rule: 'a foreign URL', yaml: vm('isos: [{ url: §ftp://e/x }]'), code: 'InvalidValue', part: 'http' },
  // sources and disks
  { rule: 'a word for a source', yaml: source('source: §blank'), code: 'InvalidValue', part: 'must be a map' },
  { rule: 'no source', yaml: source('§source: {}'), code: 'MissingField', part: 'one of url, blank, buildRef' },
  {
    rule: 'two sources',
    yaml: source('source:', '  url: http://e/x', '  §buildRef: { name: b }'),
    code: 'Conflict',
    part: 'url and buildRef are mutually exclusive',
  },
  { rule: 'a source that is not blank', yaml: source('source: { blank: §false }'), code: 'InvalidValue', part: 'true' },
  {
    rule: 'a version and a tag of a parent',
    yaml: source('source: { buildRef: { name: base, version: 3, tag: §stable } }'),
    code: 'Conflict',
    part: 'write either version or tag',
  },
  {
    rule: 'a tag that begins with a digit',
    yaml: source('source: { buildRef: { name: base, tag: §1st } }'),
    code: 'InvalidValue',
    part: '"1st" is not a tag',
  },
  {
    rule: 'the age of a parent',
    yaml: source('source: { buildRef: { name: base }, maxAge: §7d }'),
    code: 'Conflict',
    part: 'write maxAge there',
  },
  {
    rule: 'the age of an empty disk',
    yaml: source('source: { blank: true, maxAge: §7d }'),
    code: 'Conflict',
    part: 'an empty disk has no age',
  },
  { rule: 'an age without a unit', yaml: top('maxAge: §7'), code: 'InvalidValue', part: 'write "7d" or "7h"' },
  { rule: 'an age in words', yaml: top('maxAge: §a week'), code: 'InvalidValue', part: 'is not a duration' },
  {
    rule: 'a checksum of nothing',
    yaml: source(`source: { blank: true, checksum: §"${'a'.repeat(64)}" }`),
    code: 'Conflict',
    part: 'source with url',
  },
  {
    rule: 'two disks of one name',
    yaml: vm('disks: [{ name: d, size: 1Gi }, { name: §d, size: 1Gi }]'),
    code: 'DuplicateName',
    part: '"d" is already used',
  },
  // files
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
  // steps
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
    rule: 'a relative destination',
    yaml: step('type: file', 'file: { source: { secretRef: { name: s, key: k } }, destination: §tmp/x }'),
    code: 'InvalidValue',
    part: 'absolute',
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
  // VMs among themselves
  { rule: 'two VMs of one name', yaml: `${vm()}  - name: §a\n    ${VM}\n`, code: 'DuplicateName', part: '"a"' },
  { rule: 'an unknown VM to wait for', yaml: vm('dependsOn: [§b]'), code: 'UnknownReference', part: 'VM "b"' },
  { rule: 'a VM that waits for itself', yaml: vm('dependsOn: [§a]'), code: 'DependencyCycle', part: 'a -> a' },
  {
    rule: 'VMs that wait for each other',
    yaml: `${vm('dependsOn: [b]')}  - name: b\n    ${VM}\n    dependsOn: [§a]\n`,
    code: 'DependencyCycle',
    part: 'a -> b -> a',
  },
  // boot commands
  {
    rule: 'an unknown tag',
    yaml: vm('bootCommand: [ok, §"<foo>"]'),
    code: 'BootCommand',
    part: '<foo>',
    severity: 'warning',
  },
  {
    rule: 'a wait of nothing',
    yaml: vm('bootCommand: [ok, §"<wait0>"]'),
    code: 'BootCommand',
    part: 'longer than zero',
  },
  { rule: 'an unknown template', yaml: vm('bootCommand: [§"{{ .HTTPHost }}"]'), code: 'BootCommand', part: 'HTTPHost' },
  // time
  {
    rule: 'a wait longer than the whole',
    yaml: vm('communicator: { sshTimeout: §45m }'),
    code: 'Doubtful',
    part: 'default timeout of 30m',
    severity: 'warning',
  },
  // networks
  {
    rule: 'no network',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0/24'),
    code: 'InvalidValue',
    part: 'IPv4',
  },
  {
    rule: 'an address for a network',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0.5/24'),
    code: 'InvalidValue',
    part: 'write "10.1.0.0/24"',
  },
  {
    rule: 'a tiny unmanaged subnet',
    yaml: lan('[{ name: n, subnet: lan }]', 'unmanaged: true, cidr: §10.1.0.0/30'),
    code: 'InvalidValue',
    part: '/29 or wider',
  },
  {
    rule: 'a crowded subnet',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: §10.1.0.0/30'),
    code: 'InvalidValue',
    part: 'has room for 0',
  },
  {
    rule: 'a name for a name server',
    yaml: lan('[{ name: n, subnet: lan }]', 'cidr: 10.1.0.0/24, dns: §dns.example.org'),
    code: 'InvalidValue',
    part: 'commas',
  },
  {
    rule: 'an unknown VPC',
    yaml: top('network: { subnets: [{ name: s, vpc: §v, cidr: 10.1.0.0/24 }] }'),
    code: 'UnknownReference',
    part: 'VPC "v"',
  },
  {
    rule: 'overlapping subnets',
    yaml: top('network:', '  subnets: [{ name: s, cidr: 10.1.0.0/16 }, { name: t, cidr: §10.1.2.0/24 }]'),
    code: 'Conflict',
    part: 'overlaps with the subnet "s"',
  },
  { rule: 'an unknown subnet', yaml: lan('[{ name: n, subnet: §lam }]'), code: 'UnknownReference', part: '"lan"' },
  {
    rule: 'an address elsewhere',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.2.0.5 }]'),
    code: 'InvalidValue',
    part: 'outside',
  },
  {
    rule: "the gateway's address",
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.1 }]'),
    code: 'InvalidValue',
    part: 'gateway',
  },
  {
    rule: 'the broadcast address',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.255 }]'),
    code: 'InvalidValue',
    part: 'broadcast',
  },
  {
    rule: 'the address of an unmanaged subnet that the platform keeps',
    yaml: lan('[{ name: n, subnet: lan, ip: §10.1.0.253 }]', 'unmanaged: true, cidr: 10.1.0.0/24'),
    code: 'InvalidValue',
    part: "platform's router",
  },
  {
    rule: 'an address given twice',
    yaml: lan('[{ name: n, subnet: lan, ip: 10.1.0.5 }, { name: o, subnet: lan, ip: §10.1.0.5 }]'),
    code: 'DuplicateName',
    part: '10.1.0.5',
  },
  { rule: 'a short MAC', yaml: lan('[{ name: n, subnet: lan, mac: §"02:00" }]'), code: 'InvalidValue', part: 'MAC' },
  {
    rule: 'a multicast MAC',
    yaml: lan('[{ name: n, subnet: lan, mac: §"01:00:00:00:00:01" }]'),
    code: 'InvalidValue',
    part: 'multicast',
  },
  {
    rule: 'a MAC given twice',
    yaml: lan(
      '[{ name: n, subnet: lan, mac: "02:00:00:00:00:0a" }, { name: o, subnet: lan, mac: §"02-00-00-00-00-0A" }]',
    ),
    code: 'DuplicateName',
    part: '02-00-00-00-00-0A',
  },
  {
    rule: 'a slot given twice',
    yaml: lan('[{ name: n, subnet: lan, slot: 1 }, { name: o, subnet: lan, slot: §1 }]'),
    code: 'DuplicateName',
    part: '"1"',
  },
  {
    rule: 'a slot out of range',
    yaml: lan('[{ name: n, subnet: lan, slot: §10 }]'),
    code: 'InvalidValue',
    part: '1 to 9',
  },
  {
    rule: 'a card that nothing gives an address',
    yaml: lan('[§{ name: n, subnet: lan }]', 'cidr: 10.1.0.0/24, dhcp: false'),
    code: 'Doubtful',
    part: 'has no DHCP',
    severity: 'warning',
  },
  {
    rule: 'no subnet for an automatic card',
    yaml: top('network: { subnets: [{ name: s, cidr: 10.1.0.0/24, dhcp: false }] }').replace('name: a', '§name: a'),
    code: 'MissingField',
    part: 'list its nics',
  },
  // overrides
  {
    rule: 'an override of no VPC',
    yaml: top('buildOverrides: { vpcs: [{ name: §v, internet: true }] }'),
    code: 'UnknownReference',
    part: 'VPC',
  },
  {
    rule: 'an override of no VM',
    yaml: top('buildOverrides: { vms: [{ name: §b }] }'),
    code: 'UnknownReference',
    part: 'VM "b"',
  },
  {
    rule: 'an override of a card on no subnet',
    yaml: top('buildOverrides: { vms: [{ name: a, nics: [{ name: n, subnet: §x }] }] }'),
    code: 'UnknownReference',
    part: 'subnet "x"',
  },
  // variables
  {
    rule: 'a variable without value',
    yaml: top('variables:', '  §size: {}'),
    code: 'MissingVariable',
    part: '--var size=',
  },
  {
    rule: 'an unknown variable',
    yaml: top('variables: { size: 1h }', `timeout: §\${var.sise}`),
    code: 'UnknownVariable',
    part: 'did you mean "size"?',
  },
  {
    rule: 'a secret as a size',
    yaml: vm('disks:', `  - { name: d, size: "§\${secret.size}" }`),
    code: 'MisplacedSecret',
    part: `disks[0].size: \${secret.size} is not allowed here`,
  },
  {
    rule: 'a secret in the path of a URL',
    yaml: source(`source: { url: §"https://x.example/\${secret.path}" }`),
    code: 'InvalidValue',
    part: 'only in the user:password@ of a URL',
  },
  {
    rule: 'a secret in a name',
    yaml: top(`labels: { team: "§\${secret.team}" }`),
    code: 'MisplacedSecret',
    part: 'labels.team',
  },
  {
    rule: 'a secret as the default of a variable',
    yaml: top('variables:', `  a: §\${secret.a}`),
    code: 'MisplacedSecret',
    part: 'variables.a',
  },
  {
    rule: 'a secret that an alias repeats in a name',
    yaml: vm('communicator:', `  sshUsername: *x`).replace(
      'name: m',
      `name: m\nfiles: [{ name: f, inline: &x "§\${secret.a}" }]`,
    ),
    code: 'MisplacedSecret',
    part: 'sshUsername',
  },
  {
    rule: 'what only references are made of',
    yaml: top('labels: { team: §"\\uFDD0x\\uFDD1" }'),
    code: 'InvalidValue',
    part: 'U+FDD0',
  },
  {
    rule: 'a variable in the middle of a script',
    yaml: step('type: shell', 'shell:', '  inline: |', `    echo \${HOME}`, `    echo §\${var.x}`),
    code: 'UnknownVariable',
    part: '"x"',
  },
  {
    rule: 'a variable in a default',
    yaml: top('variables:', '  a: 1', `  b: §\${var.a}`),
    code: 'UnknownVariable',
    part: 'cannot refer',
  },
  // modules among themselves
  {
    rule: 'two modules of one name',
    yaml: `${vm()}---\n${vm().replace('name: m', 'name: §m')}`,
    code: 'DuplicateName',
    part: '"m"',
  },
  {
    rule: 'an unknown VM of a parent',
    yaml: `${vm()}---\n${source('source: { buildRef: { name: m, vmName: §b } }').replace('name: m', 'name: n')}`,
    code: 'UnknownReference',
    part: 'module "m" "b"',
  },
  {
    rule: 'a parent with several VMs',
    yaml: `${vm()}  - name: b\n    ${VM}\n---\n${source('source: { §buildRef: { name: m } }').replace('name: m', 'name: n')}`,
    code: 'MissingField',
    part: 'name one with vmName (a, b)',
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
  ...(['inline: §>', 'inline: §>-'] as const).map((written) => ({
    rule: `a folded script (${written})`,
    yaml: step('type: shell', `shell:`, `  ${written}`, '    set -e', '    id'),
    code: 'Doubtful' as const,
    part: 'write them below a "|"',
    severity: 'warning' as const,
  })),
  ...(
    [
      ['2048', 'write "2048Mi" for mebibytes or "2048Gi"'],
      ['"20"', 'write "20Mi" for mebibytes or "20Gi"'],
      ['20m', 'write "20Mi"'],
      ['512Ki', 'is less than 1Mi'],
      ['20GB', 'write "20Gi"'],
      ['0', 'is not a size'],
      ['-1', 'is not a size'],
      ['65Ti', 'is more than 64Ti'],
    ] as const
  ).map(([size, part]) => ({
    rule: `the size ${size}`,
    yaml: vm(`resources: { memory: §${size} }`),
    code: 'InvalidValue' as const,
    part,
  })),
  ...(
    [
      ['127.0.0.0/24', 'loopback'],
      ['169.254.0.0/16', 'link-local'],
      ['224.0.0.0/24', 'multicast'],
      ['0.0.0.0/8', 'this host'],
      ['"fd00::/64"', 'is an IPv6 network'],
      ['10.1.0.0/255.255.255.0', 'write "10.1.0.0/24"'],
    ] as const
  ).map(([cidr, part]) => ({
    rule: `the network ${cidr}`,
    yaml: top('network:', '  vpcs: [{ name: v }]', `  subnets: [{ name: lan, vpc: v, cidr: §${cidr} }]`),
    code: 'InvalidValue' as const,
    part,
  })),
  ...(
    [
      ...(
        ['{{ user `name` }}', '{{isotime}}', '{{ build `ID` }}', '{{ vars.ip }}', '{{ .HTTPIP | lower }}'] as const
      ).map((written) => [written, "of Packer's templates only {{ .Name }} of HTTPIP"] as const),
      ['{{- .HTTPIP -}}', 'write {{ .HTTPIP }}'],
      ['{{ HTTPIP }}', 'write {{ .HTTPIP }}'],
      ['{{httpport}}', 'write {{ .HTTPPort }}'],
    ] as const
  ).map(([written, remedy]) => ({
    rule: `what nothing fills: ${written}`,
    yaml: vm(`bootCommand: [§"${written}<enter>"]`),
    code: 'BootCommand' as const,
    part: `"${written}" is typed as it is: ${remedy}`,
    severity: 'warning' as const,
  })),
  ...(['https://h/x.iso?checksum=sha256:00', 'https://h/x.iso#sha256=00'] as const).map((url) => ({
    rule: `the checksum in the URL ${url}`,
    yaml: vm(`isos: [{ url: §"${url}" }]`),
    code: 'Doubtful' as const,
    part: 'write it under checksum',
    severity: 'warning' as const,
  })),
  ...(
    [
      [step('type: shell', 'shell: { inline: §"echo \\0x" }'), 'has a NUL (U+0000)'],
      [step('type: shell', 'shell: { inline: id, env: { A: §"x\\0y" } }'), 'has a NUL (U+0000)'],
      [step('type: shell', 'shell: { inline: id, executeCommand: §"{{ .Command }}\\0" }'), 'has a NUL (U+0000)'],
      [vm('shutdownCommand: §"poweroff\\0"'), 'has a NUL (U+0000)'],
      [vm('cloudInit: { userData: §"#cloud-config\\nlocale: \\0" }'), 'has a NUL (U+0000)'],
      [step('type: reboot', 'reboot: { command: §"reboot\\0" }'), 'has a NUL (U+0000)'],
      [top('files: [{ name: f, inline: §"\\0" }]'), 'named under path'],
      [step('type: shell', 'shell:', '  inline: |', '    echo a', '    echo §\0b'), 'has a NUL (U+0000)'],
      [step('type: shell', 'shell: { inline: §"echo \\uD83D" }'), 'half of a surrogate pair (U+D83D)'],
    ] as const
  ).map(([yaml, part], index) => ({
    rule: `a character that no guest can get (${index})`,
    yaml,
    code: 'InvalidValue' as const,
    part,
  })),
  {
    rule: 'a path of Windows in double quotes, whose backslashes are escapes',
    yaml: step('type: file', 'file: { source: { secretRef: { name: s, key: k } }, destination: §"C:\\\\work\\temp" }'),
    code: 'InvalidValue',
    part: 'U+0009: "\\t" between double quotes means it: take single quotes',
  },
  {
    rule: 'a line end in the name of an account',
    yaml: vm('communicator: { sshUsername: §"ro\\not" }'),
    code: 'InvalidValue',
    part: 'U+000A',
  },
  {
    rule: 'an escape in a script that was meant as text',
    yaml: step('type: shell', 'shell: { inline: §"dir C:\\build" }'),
    code: 'Doubtful',
    part: 'U+0008: "\\b" between double quotes means it',
    severity: 'warning',
  },
  {
    rule: 'a control character within a script',
    yaml: step('type: shell', 'shell:', '  inline: |', '    echo a', '    echo §\u007fb'),
    code: 'Doubtful',
    part: 'U+007F: remove it',
    severity: 'warning',
  },
  ...Object.entries({
    'https://h/x.ova?sig=1': 'convert the VMDK inside',
    'https://h/x.box': 'a box of Vagrant is an archive',
    'https://h/a/X.ZIP': 'give the disk image inside',
    'https://h/x.tar.xz': 'give the disk image inside',
    'https://h/x.qcow2.bz2': 'importers unpack only gzip, xz and zstd',
    'https://h/x.vmx': 'give the disk that it names',
    'https://h/install.wim#1': 'install from an ISO',
    'https://h/filesystem.squashfs': 'a live system',
    'https://h/x.deb': 'this is a program',
    'https://h/x.dmg': 'qemu-img convert',
    'https://h/x.iso.torrent': 'give the image itself',
    'https://h/SHA256SUMS': 'give the image itself',
  }).map(([url, part]) => ({
    rule: `the URL of other content ${url}`,
    yaml: vm(`isos: [{ url: §"${url}" }]`),
    code: 'Doubtful' as const,
    part,
    severity: 'warning' as const,
  })),
  ...Object.entries({
    'https://2001:db8::1/x': 'an IPv6 address without brackets',
    'https://h:0/x': 'an invalid port',
    'ftp://h/x': 'put the file on such a server',
    "'https://h/x'": 'quotes or brackets around it',
    'https://h/x,https://g/x': 'more than one URL',
    'https://h/a\\\\b': 'a backslash',
    'https://h/${VERSION}.img': 'a name that nothing fills',
    'https://h/<version>.img': 'a name that nothing fills',
    'https://h/100%.img': 'write %25',
  }).map(([url, part]) => ({
    rule: `the URL ${url}`,
    yaml: source(`source: { url: §"${url}" }`),
    code: 'InvalidValue' as const,
    part,
  })),
  {
    rule: 'a list of mirrors',
    yaml: vm('isos: [{ §url: ["https://h/x.iso", "https://g/x.iso"] }]'),
    code: 'InvalidValue',
    part: 'a list of mirrors is not tried in turn',
  },
  ...Object.entries({
    'https://drive.google.com/file/d/x/view': 'Google Drive answers with a page',
    'https://www.dropbox.com/s/x/y.img?dl=0': 'write dl=1',
    'https://github.com/o/r/blob/main/x.img': 'take the address of "raw"',
    'https://h/images/': 'this names a folder',
    'https://h/x.iso': 'list it under isos',
  }).map(([url, part]) => ({
    rule: `the doubtful URL ${url}`,
    yaml: source(`source: { url: §"${url}" }`),
    code: 'Doubtful' as const,
    part,
    severity: 'warning' as const,
  })),
  {
    rule: 'a disk image among the ISOs',
    yaml: vm('isos: [{ url: §"https://h/x.qcow2" }]'),
    code: 'Doubtful',
    part: 'give it as source',
    severity: 'warning',
  },
  ...Object.entries({
    [`sha384:${'ab'.repeat(48)}`]: 'the algorithm is not known here',
    [`SHA256 (x.img) = ${'ab'.repeat(32)}`]: 'without the name of the file',
    [` ${'ab'.repeat(32)}`]: 'blanks around it',
    [`sha256-${'ab'.repeat(32)}`]: 'write a colon',
    'q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=': 'this is Base64',
    ['ab'.repeat(31)]: 'it has 62 hexadecimal digits',
  }).map(([written, part]) => ({
    rule: `the checksum "${written.slice(0, 20)}"`,
    yaml: source(`source: { url: "https://h/x", checksum: §"${written}" }`),
    code: 'InvalidValue' as const,
    part,
  })),
  ...Object.entries({
    '"<pgup>"': 'did you mean "<pageUp>"?',
    '"<ctrl>c"': 'did you mean "<leftCtrl>"?',
    '"<ctrl-c>"': 'did you mean "<leftCtrlOn>"?',
    '"<winOn>"': 'did you mean "<leftSuperOn>"?',
    '"x <enter"': 'has no ">"',
    '"http://{{ .HTTPIP/ks"': '"{{ .HTTPIP/ks" is typed as it is',
    '"\\a"': 'no key of a US keyboard types "U+0007"',
  }).map(([written, part]) => ({
    rule: `the boot command ${written}`,
    yaml: vm(`bootCommand: [§${written}]`),
    code: 'BootCommand' as const,
    part,
    severity: 'warning' as const,
  })),
  {
    rule: 'waits of a boot command that are longer than the whole',
    yaml: vm('§bootCommand: ["<wait20m>", "<wait20m><enter>"]'),
    code: 'Doubtful',
    part: 'waits for 40 minutes in all',
    severity: 'warning',
  },
  ...Object.entries({
    boot_wait: 'write <wait10>',
    iso_url: 'write isos',
    disk_size: 'write disks',
    iso: 'write isos',
  }).map(([key, part]) => ({
    rule: `the key ${key} of another tool`,
    yaml: vm(`§${key}: x`),
    code: 'UnknownKey' as const,
    part,
  })),
  { rule: 'a key for anchors', yaml: top('§x-common: &c { a: b }'), code: 'UnknownKey', part: 'no place for anchors' },
  { rule: 'a step of Packer', yaml: step('type: §windows-restart'), code: 'InvalidValue', part: 'write type: reboot' },
  { rule: 'WinRM', yaml: vm('communicator: { type: §winrm }'), code: 'InvalidValue', part: 'install OpenSSH' },
  {
    rule: 'no account',
    yaml: vm('communicator: { sshUsername: §"" }'),
    code: 'InvalidValue',
    part: 'must not be empty',
  },
  {
    rule: 'a card without address',
    yaml: lan('[{ name: n, subnet: lan, mac: §"00:00:00:00:00:00" }]'),
    code: 'InvalidValue',
    part: 'of no card',
  },
  { rule: 'a spoken yes', yaml: vm('invisible: §on'), code: 'InvalidValue', part: 'write true' },
  {
    rule: 'a line of a script that is a map',
    yaml: step('type: shell', 'shell: { §inline: [id, echo a: b] }'),
    code: 'InvalidValue',
    part: 'line 2 is none; a ": " makes a map of it',
  },
  {
    rule: "a parent's version in its name",
    yaml: source('source: { buildRef: { name: §"base:3" } }'),
    code: 'InvalidValue',
    part: 'DNS label',
  },
  {
    rule: 'a script of nothing',
    yaml: step('type: shell', 'shell: { inline: §"" }'),
    code: 'Doubtful',
    part: 'the step does nothing',
    severity: 'warning',
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
  ...Object.entries({
    'FROM debian\nRUN id\n': 'a Dockerfile',
    'services:\n  a: { image: x }\n': 'Docker Compose',
    '- hosts: all\n  tasks: []\n': 'a playbook',
    'resource "x" "y" {\n}\n': 'Terraform',
    '<domain/>\n': 'XML',
  }).map(([text, part]) => ({
    rule: `a file of another tool: ${part}`,
    yaml: `§${text}`,
    code: 'UnknownKind' as const,
    part,
  })),
  {
    rule: 'characters that are on no US keyboard',
    yaml: vm('bootCommand: ["linux <enter>\\t~", §"für <äOn><äOff> 界"]'),
    code: 'BootCommand',
    part: 'no key of a US keyboard types "üä界"',
    severity: 'warning',
  },
  {
    rule: 'a reference with a default of a shell',
    yaml: top('variables: { SIZE: 1h }', `timeout: "§\${var.SIZE:-1}"`),
    code: 'UnknownVariable',
    part: 'is not a reference',
  },
  {
    rule: 'a variable of another tool',
    yaml: step('type: shell', `shell: { inline: "echo §\${var.region}" }`),
    code: 'UnknownVariable',
    part: `or write $\${var.region} for the text itself`,
  },
  {
    rule: 'an inherited disk that shrinks',
    yaml: `${vm()}---\nname: n\nvms: [{ name: a, source: { buildRef: { name: m } }, disks: [{ name: rootdisk, size: §10Gi }] }]\n`,
    code: 'InvalidValue',
    part: 'disks only grow',
  },
];

function placeOf(marked: string): { text: string; line: number; column: number } {
  const before = marked.slice(0, marked.indexOf('§'));
  const lines = before.split('\n');
  return { text: marked.replace('§', ''), line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

describe('a file is refused, once and with its place, for', () => {
  test.each(rows)('$rule', ({ yaml, code, part, severity }) => {
    const { text, line, column } = placeOf(yaml);
    const { problems, modules } = parseModules([{ path: 'm.yaml', text }]);
    expect(problems).toEqual([
      { file: 'm.yaml', line, column, severity: severity ?? 'error', code, message: expect.stringContaining(part) },
    ]);
    const documents = text.split('---').length;
    expect(modules.length).toBe(severity === 'warning' ? documents : documents - 1);
  });
});

describe('parseModules', () => {
  it('names every problem of all files at once, in the order of the files and places', () => {
    const files = [
      { path: 'b.yaml', text: 'name: m\nretries: -1\ntimeot: 1h\nvms: [{ name: a }]\n' },
      { path: 'a.yaml', text: 'name: [\n' },
    ];
    const found = parseModules(files).problems.map(({ file, line, code }) => `${file}:${line} ${code}`);
    expect(found.slice(0, 3)).toEqual(['b.yaml:2 InvalidValue', 'b.yaml:3 UnknownKey', 'b.yaml:4 MissingField']);
    expect(found.slice(3)).toContain('a.yaml:2 Syntax');
  });

  it('makes errors of boot command warnings when strict', () => {
    const files = [{ path: 'm.yaml', text: vm('bootCommand: ["<foo>"]') }];
    expect(parseModules(files, { strict: true })).toMatchObject({ modules: [], problems: [{ severity: 'error' }] });
  });

  it('refuses values for variables that are not declared', () => {
    const { problems } = parseModules([{ path: 'm.yaml', text: top('variables: { size: 1h }') }], {
      variables: { siez: '2h' },
    });
    expect(problems).toMatchObject([
      { file: '--var', code: 'UnknownVariable', message: expect.stringContaining('"size"') },
    ]);
  });
});
