import { type RefusalRow, step, testRefusals, top, vm } from '../../../test/harness/refused-module.ts';

/** Characters that no guest gets. */
const rows: readonly RefusalRow[] = [
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
];

testRefusals(rows);
