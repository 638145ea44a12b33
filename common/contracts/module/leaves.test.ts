import { type RefusalRow, step, testRefusals, top, vm } from '../../../test/harness/refused-module.ts';

/** Durations, sizes and other single values. */
const rows: readonly RefusalRow[] = [
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
  { rule: 'a spoken yes', yaml: vm('invisible: §on'), code: 'InvalidValue', part: 'write true' },
  {
    rule: 'a line of a script that is a map',
    yaml: step('type: shell', 'shell: { §inline: [id, echo a: b] }'),
    code: 'InvalidValue',
    part: 'line 2 is none; a ": " makes a map of it',
  },
];

testRefusals(rows);
