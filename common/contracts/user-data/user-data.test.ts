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

/** What is found in a text that is below a `|`, with its place in the text. */
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
    message: 'must be in quotes',
    severity: 'error',
    at: [3, 13],
  },
  {
    text: '#cloud-config\nmotd: "open\n',
    message: 'a text in quotes (") is not closed',
    severity: 'error',
    at: [2, 12],
  },
  { text: '#cloud-config\nmotd:\tx\n', message: 'a tab is not allowed here', severity: 'error', at: [2, 6] },
  { text: '#cloud-config\na: !vault x\n', message: 'Unresolved tag', severity: 'error', at: [2, 4] },
  { text: '#cloud-config\na: *nobody\n', message: 'nobody', severity: 'error', at: [2, 4] },
  { text: '#cloud-config\n- a\n', message: 'must be a map of keys and values', severity: 'error', at: [2, 1] },
  { text: '#cloud-config-archive\na: 1\n', message: 'must be a list of parts', severity: 'error', at: [2, 1] },
  { text: '#cloud-config\nruncmd: [a]\nx: 1\nruncmd: [b]\n', message: 'the last one wins', at: [4, 1] },
  { text: '#cloud-config\nx: 1\ndisable_root: true\n', message: 'give no root login in the image', at: [3, 1] },
  { text: '#cloud-config\npower_state: { mode: reboot }\n', message: 'cloud-init ends with "reboot"', at: [2, 1] },
  { text: '#cloud-config\nchpasswd:\n  list: |\n    root:x\n', message: 'write expire: false', at: [2, 1] },
  {
    text: '#cloud-config\nchpasswd: { users: [{ name: ops, password: x }] }\n',
    message: 'the password of "ops" expires',
    at: [2, 1],
    sshUsername: 'ops',
  },
  { text: '# my web server\n#cloud-config\na: 1\n', message: 'move "#cloud-config" up to the first line' },
  { text: '##template: jinja\n#cloud-config\na: 1\n', message: 'write "## template: jinja", with these blanks' },
  { text: '## template: jinja\nhostname: {{ v1.x }}\n', message: 'a template without a header' },
  { text: '# !/bin/sh\necho\n', message: 'write "#!" without a blank' },
  { text: '{"ignition": {"version": "3.3.0"}}\n', message: 'this is Ignition' },
  { text: '#ps1_sysnative\nWrite-Host\n', message: 'cloudbase-init' },
  { text: 'Content-Type: multipart/mixed; boundary="b"\n\n--b--\n', message: 'needs the line "MIME-Version: 1.0"' },
  {
    text: '#cloud-config\nhostname: {{ v1.x }}\n',
    message: 'a value that begins with "{{" must be in quotes',
    severity: 'error',
    at: [2, 12],
  },
  { text: '#cloud-config\nruncmd:\n\u00a0 - echo\n', message: 'no-break space', severity: 'error', at: [3, 1] },
  { text: '#cloud-config\nruncmd:\n  - echo "a: b"\n', message: 'its ": " makes a map of it', at: [3, 5] },
  { text: '#cloud-config\nbootcmd:\n  - 5\n', message: 'it is not text', at: [3, 5] },
  {
    text: '#cloud-config\nruncmd: echo a\n',
    message: 'runcmd: cloud-init ignores it, because it must be a list',
    at: [2, 1],
  },
  { text: '#cloud-config\nruncmd:\n  - ! grep x /y\n', message: 'begins with "!" loses it', at: [3, 7] },
  { text: '#cloud-config\npackage: [a]\n', message: 'ignores the key "package"; did you mean "packages"?', at: [2, 1] },
  { text: '#cloud-config\nnetwork: { version: 2 }\n', message: 'write it under networkData', at: [2, 1] },
  { text: '#cloud-config\nwrite_files: { path: /x }\n', message: 'write_files: cloud-init ignores it', at: [2, 1] },
  { text: '#cloud-config\nwrite_files: [{ content: x }]\n', message: 'ignores a file without a path', at: [2, 15] },
  {
    text: '#cloud-config\nwrite_files:\n  - path: /x\n    permissions: 644\n',
    message: '644 without a leading zero is mode 1204',
    at: [4, 5],
  },
  {
    text: '#cloud-config\nwrite_files:\n  - path: /x\n    permissions: u+x\n',
    message: '"u+x" is not an octal number',
    at: [4, 5],
  },
  {
    text: '#cloud-config\nusers: [default, { name: ops }]\nwrite_files:\n  - path: /home/ops/x\n    owner: ops:ops\n',
    message: 'before the account "ops" is made: write defer: true',
    at: [5, 5],
  },
  {
    text: '#cloud-config\nssh_authorized_keys: ssh-ed25519 AAAA\n',
    message: 'ssh_authorized_keys: cloud-init ignores it',
    at: [2, 1],
  },
  { text: '#cloud-config\nssh_authorized_keys: [~/.ssh/id.pub]\n', message: 'this is not a public key', at: [2, 23] },
  { text: '#cloud-config\nusers: [{ name: a, passwd: secret }]\n', message: 'passwd must be a hash', at: [2, 20] },
  { text: '#cloud-config\nmounts: [/dev/vdb, /mnt]\n', message: 'must be a list of fields', at: [2, 10] },
  {
    text: '#cloud-config\npassword: x\n',
    message: 'the password of the default user expires',
    at: [2, 1],
    sshUsername: 'debian',
  },
  {
    text: '#cloud-config-archive\n- type: text/cloud-config\n  content: |\n    b: [\n',
    message: '"[" that was opened',
    severity: 'error',
    at: [2, 3],
  },
  { text: '#cloud-config-archive\n- |\n  runcmd: [a]\n', message: 'ignores user data without a header', at: [2, 3] },
  {
    text: 'Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\nContent-Type: text/cloud-config\n\na: 1\nb: [\n--b--\n',
    message: '"[" that was opened',
    severity: 'error',
    at: [8, 5],
  },
])('reports user data that cloud-init reads otherwise than it looks: $message', (row) => {
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
  '#cloud-config\nruncmd: [ls, [echo, 5], null]\nbootcmd: ["echo a: b"]\nmounts: [[/dev/vdb, /mnt]]\n',
  '#cloud-config\nwrite_files:\n  - { path: /a, permissions: 0644, owner: www-data }\n  - { path: /b, permissions: "644" }\n',
  '#cloud-config\nusers: [{ name: ops, passwd: $6$a$b }]\nwrite_files: [{ path: /c, owner: ops, defer: true }]\n',
  '#cloud-config\nssh_authorized_keys: ["command=\\"x\\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMq ops"]\n',
  '## template: jinja\n{% if a %}\n#cloud-config\n{% endif %}\n',
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

test('what is wrong inside of packed user data is where the text begins', () => {
  const packed = gzipSync('#cloud-config\na: 1\nb: [\n').toString('base64');
  expect(problemsOf('userData', packed)[0]).toMatchObject({ at: [1, 1], severity: 'error' });
});

const v2 = (device: string) => `version: 2\nethernets:\n  ens3:\n    ${device}\n`;
const v1 = (item: string) => `network:\n  version: 1\n  config:\n    - ${item}\n`;

test.each<Row>([
  { text: '- a\n', message: 'must be a map', at: [1, 1] },
  { text: 'ethernets: { e: { dhcp4: true } }\n', message: 'version: is required: write 1 or 2', at: [1, 1] },
  { text: 'version: 3\n', message: 'version: "3" is not a version', at: [1, 10] },
  { text: 'network:\n  version: 2\n  ethernets:\n    e: { dhcp4: true\n', message: '"{" that was opened', at: [4, 21] },
  { text: v2('dhcp4: maybe'), message: 'ethernets.ens3.dhcp4: "maybe" is not a boolean', at: [4, 12] },
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
  { text: v2('match: { macaddress: 52-54-00-12-34-56 }'), message: 'is not a MAC address', at: [4, 26] },
  { text: v2('{ set-name: lan }'), message: 'set-name: needs a match', at: [4, 17] },
  { text: v2('routes: [{ to: default }]'), message: 'routes[0].via: is required', at: [4, 14] },
  {
    text: 'version: 2\nbridges:\n  b: { interfaces: [e] }\n',
    message: 'netplan refuses "e"',
    at: [3, 8],
    severity: 'warning',
  },
  {
    text: 'version: 2\nethernets: { e: {} }\nvlans:\n  v: { link: e }\n',
    message: 'vlans.v.id: is required',
    at: [4, 3],
  },
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
  'version: 2\nethernets: { a: {} }\nbonds:\n  b: { interfaces: [a], parameters: { mode: 802.3ad }, addresses: [10.0.0.1/255.255.255.0] }\nvlans: { v: { id: 5, link: b } }\n',
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
