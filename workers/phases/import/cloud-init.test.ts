import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { fillSecrets, secretReference } from '../../../common/contracts/module/secret-text.ts';
import { LOGIN_HOOK, withLogin } from './cloud-init.ts';
import { fillUserData } from './fill-user-data.ts';

const login = { username: "o'ps", publicKeys: ['ssh-ed25519 AAAA farm'] };

const CONFIG = '#cloud-config\nx: &u { sudo: yes }\nusers: [{ <<: *u, name: dev }]\np: 0755\n';
const MIME = `Content-Type: multipart/mixed; boundary="==X=="
MIME-Version: 1.0

--==X==
Content-Type: text/cloud-config

#cloud-config
a: 1
--==X==
Content-Type: text/x-shellscript

#!/bin/sh
--==X==--
`;

interface Part {
  readonly head: string;
  readonly body: Buffer;
}

/** What is between the boundaries of a message (RFC 2046), decoded. */
function partsOf(message: Buffer): Part[] {
  const text = message.toString('latin1');
  const boundary = /^Content-Type: multipart\/mixed; boundary="([^"]+)"\nMIME-Version: 1\.0\n/.exec(text)?.[1] ?? '';
  const [, ...pieces] = text.split(new RegExp(`\\n--${boundary}(?:--)?\\n`));
  expect(pieces.pop()).toBe('');
  return pieces.map((piece) => {
    const at = piece.indexOf('\n\n');
    const [head, body] = [piece.slice(0, at), piece.slice(at + 2)];
    return { head, body: Buffer.from(body, head.includes('Encoding: base64') ? 'base64' : 'latin1') };
  });
}

test.each<[string, string | Buffer]>([
  ['a cloud-config in YAML 1.1', CONFIG],
  ['a text without a newline at its end', '#cloud-config\na: 1'],
  ['line ends of Windows, and letters of all kinds', '#cloud-config\r\nmotd: "grüße 漢字 \u{1f600}"\r\n'],
  ['Latin-1', Buffer.from('#cloud-config\nmotd: caf\xe9\n', 'latin1')],
  ['a template', '## template: jinja\n#cloud-config\na: {{ v1.instance_id }}\n'],
  ['an archive', '#cloud-config-archive\n- "#!/bin/sh\\necho"\n'],
  ['a script that writes our boundary', '#!/bin/sh\ncat <<EOF\n\n--slipway-user-data\nEOF\n'],
  ['bytes that are not user data', Buffer.of(0, 1, 2, 255, 254, 10, 13)],
  ['text that only looks like Base64', 'AAAAAAAA'],
])('sends %s byte for byte, beside the hook that lets the farm in', (_what, userData) => {
  const [given, hook, ...others] = partsOf(withLogin(Buffer.from(userData), login));
  expect(given?.body).toEqual(Buffer.from(userData));
  expect(given?.head).toBe('Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: base64');
  expect(hook?.head).toContain(`Content-Type: text/cloud-boothook\n`);
  expect(hook?.head).toContain(`filename="${LOGIN_HOOK}"`);
  expect(hook?.body.toString()).toMatch(/^#cloud-boothook\n#!\/bin\/sh\n/);
  expect(hook?.body.toString()).toContain(`user='o'\\''ps'\nkey='ssh-ed25519 AAAA farm'\n`);
  expect(others).toEqual([]);
});

test('lets the person of a clone in beside the farm', () => {
  const [hook] = partsOf(withLogin(null, { ...login, publicKeys: [...login.publicKeys, 'ssh-rsa BBBB me'] }));
  expect(hook?.body.toString()).toContain("key='ssh-ed25519 AAAA farm\nssh-rsa BBBB me'\n");
});

test.each<[string, Buffer]>([
  ['gzip', gzipSync(CONFIG)],
  ['Base64', Buffer.from(Buffer.from(CONFIG).toString('base64'))],
  ['gzip in Base64, in lines', Buffer.from(`${gzipSync(CONFIG).toString('base64').replaceAll(/.{20}/g, '$&\n')}\n`)],
])('takes user data out of %s, which only some clouds do', (_what, userData) => {
  expect(partsOf(withLogin(userData, login))[0]?.body.toString()).toBe(CONFIG);
});

test('leaves a MIME message with any boundary as it is, and the hook beside it', () => {
  for (const message of [MIME, MIME.replaceAll('==X==', 'slipway-user-data'), gzipSync(MIME)]) {
    const sent = withLogin(Buffer.from(message), login);
    const boundary = /boundary="([^"]+)"/.exec(sent.toString())?.[1] ?? '';
    const inner = typeof message === 'string' ? message : MIME;
    expect(sent.toString()).toContain(`\n--${boundary}\n${inner}\n--${boundary}\n`);
    expect(inner).not.toContain(boundary);
    expect(sent.toString().endsWith(`\n--${boundary}--\n`)).toBe(true);
  }
});

test('sends the hook alone where the module has no user data', () => {
  for (const nothing of [null, Buffer.from('')]) expect(partsOf(withLogin(nothing, login))).toHaveLength(1);
});

test('puts secrets into a cloud-config as whole texts with any characters, and touches nothing else', () => {
  const values: Record<string, string> = { pw: `"it's": yes # \n- no\x7f`, pin: '0123', answer: 'no', name: 'k' };
  const fill = (text: string) => fillSecrets(text, (name) => values[name] ?? '');
  const [pw, pin, answer, name] = ['pw', 'pin', 'answer', 'name'].map(secretReference);
  const config = `#cloud-config
# ${pin}
password: ${pw}  # kept
m: { pin: ${pin}, a: "${answer}", ${name}: 1, perm: 0644 }
t: |
  [${pw}]
  #cloud-config
u: >-
  folded
  ${pin}

off:   [  0o7 ,no]
`;
  const filled = fillUserData(config, fill);
  expect(parse(filled, { version: '1.1' })).toEqual({
    password: values['pw'],
    m: { pin: '0123', a: 'no', k: 1, perm: 0o644 },
    t: `[${values['pw']}]\n#cloud-config\n`,
    u: 'folded 0123',
    false: ['0o7', false],
  });
  expect(filled).toContain(`\n# \${secret.pin}\n`);
  expect(filled).toContain('  # kept\nm: { pin: "0123", a: "no", "k": 1, perm: 0644 }\n');
  expect(filled).toContain('\noff:   [  0o7 ,no]\n');
  expect(fillUserData(`#!/bin/sh\necho ${pin}\n`, fill)).toBe('#!/bin/sh\necho 0123\n');
  expect(fillUserData(`#cloud-config\na: [\nb: ${pin}\n`, fill)).toBe('#cloud-config\na: [\nb: 0123\n');
  const archive = `#cloud-config-archive\n- |\n  #cloud-config\n  password: ${pw}\n`;
  const [inner] = parse(fillUserData(archive, fill), { version: '1.1' });
  expect(parse(inner, { version: '1.1' })).toEqual({ password: values['pw'] });
});
