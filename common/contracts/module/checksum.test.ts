import { type RefusalRow, source, testRefusals, vm } from '../../../test/harness/refused-module.ts';

/** Checksums. */
const rows: readonly RefusalRow[] = [
  {
    rule: 'a login before the name of a container image',
    yaml: source('source: { containerDisk: §"ci:hunter2@quay.io/c/fedora" }'),
    code: 'InvalidValue',
    part: '"***@quay.io/c/fedora" is not a container image reference',
  },
  {
    rule: 'two disks of one name',
    yaml: vm('disks: [{ name: d, size: 1Gi }, { name: §d, size: 1Gi }]'),
    code: 'DuplicateName',
    part: '"d" is already used',
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
];

testRefusals(rows);
