import { type RefusalRow, source, testRefusals, vm } from '../../../test/harness/refused-module.ts';

/** URLs that lead to something else. */
const rows: readonly RefusalRow[] = [
  { rule: 'a foreign URL', yaml: vm('isos: [{ url: §ftp://e/x }]'), code: 'InvalidValue', part: 'http' },
  ...(['https://h/x.iso?checksum=sha256:00', 'https://h/x.iso#sha256=00'] as const).map((url) => ({
    rule: `the checksum in the URL ${url}`,
    yaml: vm(`isos: [{ url: §"${url}" }]`),
    code: 'Doubtful' as const,
    part: 'write it under checksum',
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
];

testRefusals(rows);
