import { type RefusalRow, source, step, testRefusals, top, vm } from '../../../test/harness/refused-module.ts';

/** Files, keys and values of other tools. */
const rows: readonly RefusalRow[] = [
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
  { rule: "a template of Packer's", yaml: '§{ "builders": [] }\n', code: 'UnknownKind', part: 'docs/from-packer.md' },
  {
    rule: 'a Vagrantfile',
    yaml: '§Vagrant.configure("2") do |config|\nend\n',
    code: 'UnknownKind',
    part: 'Vagrantfile',
  },
  { rule: 'user data alone', yaml: '§#cloud-config\npackages: [a]\n', code: 'UnknownKind', part: 'cloudInit.userData' },
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
];

testRefusals(rows);
