import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { parseModules } from '../module/parse.ts';

interface Row {
  readonly text: string;
  readonly message: string;
  readonly severity?: 'error' | 'warning';
  /** Of the finding, within the text. */
  readonly at?: readonly [number, number];
  readonly sshUsername?: string;
}

/** What is found in a text that stands below a `|`, with its place in the text. */
function problemsOf(key: 'userData' | 'networkData', text: string, sshUsername = 'root') {
  const lines = text.split('\n').map((line) => (line === '' ? '' : `        ${line}`));
  const head = ['name: m', 'vms:', '  - name: a', '    source: { blank: true }', '    cloudInit:', `      ${key}: |`];
  const tail = [
    `    communicator: { sshUsername: ${sshUsername} }`,
    '    provisioners: [{ type: shell, shell: { inline: id } }]',
    '',
  ];
  const { problems } = parseModules([{ path: 'm.yaml', text: [...head, ...lines, ...tail].join('\n') }]);
  return problems.map(({ line, column, severity, message }) => {
    return {
      at: [line - head.length, column - 8],
      severity,
      message: message.replace(/^vms\[0\]\.cloudInit\.\w+: /, ''),
    };
  });
}

test.each<Row>([
  { text: 'users:\n  - name: ops\n', message: 'write "#cloud-config" (or "#!/bin/sh" for a script) above it' },
  { text: '# cloud-config\npackages: [a]\n', message: 'did you mean "#cloud-config"?' },
  { text: '#cloudconfig\npackages: [a]\n', message: 'did you mean "#cloud-config"?' },
  { text: '\ufeff#cloud-config\na: 1\n', message: 'byte order mark' },
  {
    text: '#cloud-config\nruncmd:\n  - [ls, -l\npackages: [curl]\n',
    message: '"[" that was opened',
    severity: 'error',
    at: [4, 1],
  },
  {
    text: '#cloud-config\nruncmd:\n  - echo a: b: c\n',
    message: 'must stand in quotes',
    severity: 'error',
    at: [3, 13],
  },
  { text: '#cloud-config\nmotd: "open\n', message: 'Missing closing "quote', severity: 'error', at: [3, 1] },
  { text: '#cloud-config\nmotd:\tx\n', message: 'a tab cannot stand here', severity: 'error', at: [2, 6] },
  { text: '#cloud-config\na: !vault x\n', message: 'Unresolved tag', severity: 'error', at: [2, 4] },
  { text: '#cloud-config\na: *nobody\n', message: 'nobody', severity: 'error', at: [2, 4] },
  { text: '#cloud-config\n- a\n', message: 'must be a map of keys and values', severity: 'error', at: [2, 1] },
  { text: '#cloud-config-archive\na: 1\n', message: 'must be a list of parts', severity: 'error', at: [2, 1] },
  { text: '#cloud-config\nruncmd: [a]\nx: 1\nruncmd: [b]\n', message: 'the later one counts', at: [4, 1] },
  { text: '#cloud-config\nx: 1\ndisable_root: true\n', message: 'nobody gets into the image as root', at: [3, 1] },
  { text: '#cloud-config\npower_state: { mode: reboot }\n', message: 'cloud-init ends with "reboot"', at: [2, 1] },
  { text: '#cloud-config\nchpasswd:\n  list: |\n    root:x\n', message: 'write expire: false', at: [2, 1] },
  {
    text: '#cloud-config\nchpasswd: { users: [{ name: ops, password: x }] }\n',
    message: 'the password of "ops" expires',
    at: [2, 1],
    sshUsername: 'ops',
  },
])('user data that cloud-init reads otherwise than it looks is told: $message', (row) => {
  const { text, message, severity = 'warning', at = [1, 1], sshUsername } = row;
  const found = problemsOf('userData', text, sshUsername);
  expect(found[0]).toEqual({ at, severity, message: expect.stringContaining(message) });
});

test.each([
  '#cloud-config\n',
  '#cloud-config\nx: &u { sudo: yes }\nusers: [default, { <<: *u, name: ops, lock_passwd: no }]\np: 0755\nb: !!binary aGk=\n',
  '#cloud-config\nwrite_files:\n  - path: /x\n    content: |\n      a\tb\n      \tc: d: e\n    owner: "a\tb" # c\td\n',
  '#cloud-config\ndisable_root: false\nchpasswd: { expire: false, list: "root:x" }\npower_state: { condition: false }\n',
  '#cloud-config-archive\n- |\n  #!/bin/sh\n',
  '## template: jinja\n#cloud-config\na: {{ v1.x }}\n{% if a %}\n',
  '#!/bin/sh\necho "a: b: [\n',
  '#include\nhttps://example.org/x\n',
  '#cloud-boothook\necho\n',
  'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b--\n',
  `${gzipSync('#cloud-config\na: 1\n').toString('base64')}\n`,
  '\n',
])('user data that is well is not complained of (%#)', (text) => {
  expect(problemsOf('userData', text)).toEqual([]);
});

test('what is wrong inside of packed user data stands where the text begins', () => {
  const packed = gzipSync('#cloud-config\na: 1\nb: [\n').toString('base64');
  expect(problemsOf('userData', packed)[0]).toMatchObject({ at: [1, 1], severity: 'error' });
});

const v2 = (device: string) => `version: 2\nethernets:\n  ens3:\n    ${device}\n`;
const v1 = (item: string) => `network:\n  version: 1\n  config:\n    - ${item}\n`;

test.each<Row>([
  { text: '- a\n', message: 'must be a map', at: [1, 1] },
  { text: 'ethernets: { e: { dhcp4: true } }\n', message: 'version: is required: write 1 or 2', at: [1, 1] },
  { text: 'version: 3\n', message: 'version: "3" is not a version', at: [1, 10] },
  { text: 'network:\n  version: 2\n  ethernets:\n    e: { dhcp4: true\n', message: '"{" that was opened', at: [5, 1] },
  { text: v2('dhcp4: maybe'), message: 'ethernets.ens3.dhcp4: "maybe" is not a truth value', at: [4, 12] },
  {
    text: v2('addresses: [10.0.2.5]'),
    message: 'ethernets.ens3.addresses[0]: "10.0.2.5" lacks the length',
    at: [4, 17],
  },
  { text: v2('addresses: [10.0.2.300/24]'), message: 'is not an IP address', at: [4, 17] },
  { text: v2('addresses: [10.0.2.5/33]'), message: '"33" is not the length of a prefix of IPv4', at: [4, 17] },
  { text: v2('addresses: 10.0.2.5/24'), message: 'addresses: must be a list', at: [4, 16] },
  { text: v2('gateway4: "fe80::1"'), message: 'gateway4: "fe80::1" is not an IPv4 address', at: [4, 15] },
  { text: v2('nameservers: [1.1.1.1]'), message: 'nameservers: must be a map', at: [4, 5] },
  { text: v2('routes: [{ to: nowhere, via: 10.0.2.1 }]'), message: '"nowhere" is not a network', at: [4, 20] },
  { text: v2('match: { macaddress: 02:00 }'), message: 'is not a MAC address', at: [4, 26] },
  { text: v2('mtu: big'), message: 'is not a whole number', at: [4, 10] },
  { text: v2('adresses: [10.0.2.5/24]'), message: 'did you mean "addresses"?', at: [4, 5], severity: 'warning' },
  { text: 'version: 2\nvlans:\n  v: { link: e }\n', message: 'vlans.v.id: is required', at: [3, 3] },
  { text: 'network:\n  version: 1\n  ethernets: {}\n', message: 'needs a list of devices under config', at: [1, 1] },
  { text: v1('{ type: physical }'), message: 'network.config[0].name: is required', at: [4, 7] },
  { text: v1('{ type: phisical, name: e }'), message: 'did you mean "physical"?', at: [4, 15] },
  {
    text: v1('{ type: physical, name: e, subnets: [{ type: statik }] }'),
    message: 'did you mean "static"?',
    at: [4, 52],
  },
  {
    text: v1('{ type: physical, name: e, subnets: [{ type: static }] }'),
    message: 'address: is required',
    at: [4, 44],
  },
  { text: v1('{ type: vlan, name: v, vlan_link: e, vlan_id: 9999 }'), message: 'from 0 to 4094', at: [4, 53] },
])(
  'network data that is refused in the guest is refused before: $message',
  ({ text, message, at, severity = 'error' }) => {
    expect(problemsOf('networkData', text)).toEqual([{ at, severity, message: expect.stringContaining(message) }]);
  },
);

test.each([
  'version: 2\n',
  'network: { config: disabled }\n',
  'network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    all:\n      match: { name: "e*" }\n      dhcp4: yes\n      dhcp4-overrides: { use-dns: false }\n',
  v2(
    '{ addresses: [10.0.2.5/24, "fd00::5/64", { 10.0.2.6/24: { label: x } }], routes: [{ to: default, via: 10.0.2.1 }] }',
  ),
  'version: 2\nbonds:\n  b: { interfaces: [a], parameters: { mode: 802.3ad }, addresses: [10.0.0.1/255.255.255.0] }\nvlans: { v: { id: 5, link: b } }\n',
  v1(
    '{ type: physical, name: e, mac_address: "02:00:00:00:00:01", subnets: [{ type: static, address: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1, dns_nameservers: [1.1.1.1] }, { type: dhcp6 }] }',
  ),
  v1('{ type: nameserver, address: [1.1.1.1], search: [a] }'),
  v1('{ type: route, destination: 10.0.0.0/8, gateway: 10.0.2.1, metric: 3 }'),
])('network data that is well is not complained of (%#)', (text) => {
  expect(problemsOf('networkData', text)).toEqual([]);
});

test('a text of which only the start is known has its problems there', () => {
  const cloudInit = (value: string) =>
    parseModules([
      {
        path: 'm.yaml',
        text: `name: m\nvms:\n  - name: a\n    source: { blank: true }\n    cloudInit: { userData: ${value} }\n`,
      },
    ]);
  const { problems } = cloudInit('"#cloud-config\\na: 1\\nb: [\\n"');
  expect(problems[0]).toMatchObject({ line: 5, column: 28, severity: 'error' });
});
