import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { fillSecrets, secretReference } from '../../../common/contracts/module/secret-text.ts';
import { createGuardedAgent } from '../../../common/fetch/address-guard.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import { withLogin } from './cloud-init.ts';
import { imageSize, virtualSize } from './image-size.ts';
import { importVerdict } from './import-verdict.ts';
import { restoreBytes } from './sources.ts';

const signal = new AbortController().signal;
const key = 'ssh-ed25519 AAAA farm';
const debian = { username: 'debian', publicKey: key };

test.each([
  ['no user data', null, debian, { user: 'debian', ssh_authorized_keys: [key] }],
  [
    'keys of its own',
    '#cloud-config\nssh_authorized_keys: [mine]\nuser: me\n',
    debian,
    { ssh_authorized_keys: ['mine', key], user: 'me' },
  ],
  ['root', '#cloud-config\n', { ...debian, username: 'root' }, { disable_root: false, ssh_authorized_keys: [key] }],
  [
    'the login among its users',
    '#cloud-config\nusers: [default, {name: debian, ssh-authorized-keys: [mine]}]\n',
    debian,
    {
      users: ['default', { name: 'debian', ssh_authorized_keys: ['mine', key] }],
      ssh_authorized_keys: [key],
    },
  ],
  [
    'users without the login',
    '#cloud-config\nusers: [{name: ann}]\n',
    debian,
    {
      users: [
        { name: 'ann' },
        { name: 'debian', shell: '/bin/bash', sudo: 'ALL=(ALL) NOPASSWD:ALL', ssh_authorized_keys: [key] },
      ],
      ssh_authorized_keys: [key],
    },
  ],
])('lets the farm into a guest with %s', (_case, userData, login, expected) => {
  const merged = withLogin(userData, login);
  expect(merged.startsWith('#cloud-config\n')).toBe(true);
  expect(parse(merged)).toEqual(expected);
  expect(parse(withLogin(merged, login))).toEqual(expected);
});

test('puts a script beside a cloud-config with the key, and leaves MIME alone', () => {
  const script = '#!/bin/sh\necho hello\n';
  const merged = withLogin(script, debian);
  expect(merged).toContain('Content-Type: multipart/mixed; boundary=');
  expect(merged).toContain(`\n\n${script}`);
  expect(merged).toContain(key);
  expect(withLogin(merged, debian)).toBe(merged);
});

test('puts secrets into user data as whole texts, whatever characters they have', () => {
  const values: Record<string, string> = { pw: `"it's": yes # \n- no`, pin: '0123', answer: 'no', name: 'k' };
  const fill = (text: string) => fillSecrets(text, (name) => values[name] ?? '');
  const [pw, pin, answer] = ['pw', 'pin', 'answer'].map(secretReference);
  const config = `#cloud-config\npassword: ${pw}\nn: { pin: ${pin}, a: "${answer}", ${secretReference('name')}: 1 }\nt: |\n  [${pw}]\n`;
  const merged = withLogin(config, debian, fill);
  expect(parse(merged, { version: '1.1' })).toMatchObject({
    password: values['pw'],
    n: { pin: '0123', a: 'no', k: 1 },
    t: `[${values['pw']}]\n`,
  });
  expect(withLogin(`#!/bin/sh\necho ${pin}\n`, debian, fill)).toContain('\necho 0123\n');
});

function header(magic: string, offset: number, write: (buffer: Buffer, offset: number) => void): Buffer {
  const buffer = Buffer.alloc(1024);
  buffer.write(magic, 'latin1');
  write(buffer, offset);
  return buffer;
}

test.each([
  ['qcow2', header('QFI\xfb', 24, (buffer, at) => buffer.writeBigUInt64BE(5n << 30n, at)), 100, 5 * 2 ** 30],
  ['vmdk', header('KDMV', 12, (buffer, at) => buffer.writeBigUInt64LE(2048n, at)), 100, 2 ** 20],
  ['raw', Buffer.alloc(1024), 4096, 4096],
  ['gzip', Buffer.concat([Buffer.of(0x1f, 0x8b), Buffer.alloc(100)]), 4096, undefined],
  ['a cut answer', Buffer.alloc(3), 4096, undefined],
])('knows the virtual size of %s', (_format, bytes, length, expected) => {
  expect(virtualSize(bytes, length)).toBe(expected);
});

test('asks for the first bytes only, and takes a server that cannot be reached for unknown', async () => {
  const [open, guarded] = [true, false].map((allowPrivateAddresses) => createGuardedAgent({ allowPrivateAddresses }));
  if (!open || !guarded) throw new Error('unreachable');
  let sent = 0;
  const server = createServer((request, response) => {
    if (request.url === '/moved') return void response.writeHead(302, { location: '/image' }).end();
    expect(request.headers.range).toBe('bytes=0-1023');
    response.writeHead(206, { 'content-range': 'bytes 0-1023/123456789', 'content-length': 1024 });
    sent += 1024;
    response.end(Buffer.alloc(1024));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/moved`;
  try {
    expect(await imageSize(url, { agent: open, signal })).toBe(123_456_789);
    expect(await imageSize(url, { agent: guarded, signal })).toBeUndefined();
    expect(sent).toBe(1024);
  } finally {
    await Promise.all([open.destroy(), guarded.destroy()]);
    server.close();
    server.closeAllConnections();
  }
});

function volume(phase: string, restartCount: number, message = '', reason = 'Error'): DataVolume {
  const conditions = [{ type: 'Running', status: 'False', reason, message }];
  return { spec: {}, status: { phase, restartCount, conditions } };
}

test.each([
  ['a third restart', volume('ImportInProgress', 3, 'unable to connect to server'), 'SourceUnreachable'],
  ['a missing file', volume('ImportInProgress', 2, 'expected status code 200, got 404'), 'SourceUnreachable'],
  [
    'a volume that is too small',
    volume('ImportInProgress', 2, 'DataVolume too small to contain image'),
    'ImageTooLarge',
  ],
  ['a wrong checksum', volume('Failed', 1, 'got aa, want bb', 'ChecksumError'), 'ChecksumMismatch'],
  ['anything else', volume('ImportInProgress', 4, 'qemu-img: corrupt header'), 'ImportFailed'],
  ['a second try', volume('ImportInProgress', 2, 'unable to connect to server'), 'running'],
  ['a wait for its consumer', volume('PendingPopulation', 0), 'running'],
])('judges %s', (_case, object, expected) => {
  const verdict = importVerdict(object);
  expect(verdict.kind === 'failed' ? verdict.reason : verdict.kind).toBe(expected);
});

test.each([
  ['1Gi', 2 ** 30],
  ['1073741824', 2 ** 30],
  ['1500M', 1.5e9],
  [undefined, 0],
])('reads a restore size of %s', (restoreSize, expected) => {
  expect(restoreBytes({ status: restoreSize === undefined ? {} : { restoreSize } })).toBe(expected);
});
