import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';

/** The host's shell and grep, in a mount namespace with another `/etc/ssh`; sshd reports what the real one does with `-T`. */
const SSHD = `#!/bin/sh\necho 'permitrootlogin yes'\necho 'authorizedkeysfile /etc/keys/%u .ssh/more %h/100%% none'\n`;
const ASKED = ['/etc/keys/ops', '/home/ops/.ssh/more', '/home/ops/100%'];
const DEFAULT = '/home/ops/.ssh/authorized_keys';

const resources = new ReleaseStack();
afterAll(() => resources.close());

test.each<[string, Record<string, string>, boolean]>([
  [
    'the configuration of Debian',
    { sshd_config: 'Include /etc/ssh/sshd_config.d/*.conf\n#AuthorizedKeysFile x\n' },
    false,
  ],
  [
    'that of Fedora',
    { sshd_config: 'Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile\t.ssh/authorized_keys\n' },
    false,
  ],
  [
    'the default, written down',
    { sshd_config: 'AuthorizedKeysFile %h/.ssh/authorized_keys .ssh/authorized_keys2\n' },
    false,
  ],
  ['folders of another name that it includes', { sshd_config: 'Include mine/*.conf "more.conf"\n' }, false],
  ['another file', { sshd_config: 'authorizedkeysfile /etc/keys/%u\n' }, true],
  ['another file beside the default', { sshd_config: 'AuthorizedKeysFile .ssh/authorized_keys .ssh/more\n' }, true],
  ['another file with an equals sign', { sshd_config: 'AuthorizedKeysFile=/etc/keys/%u\n' }, true],
  ['another file for some users', { sshd_config: 'Match User ops\n    AuthorizedKeysFile .ssh/more\n' }, true],
  [
    'another file in a file that is included',
    { sshd_config: 'Include mine/*\n', 'mine/keys': 'AuthorizedKeysFile x\n' },
    true,
  ],
  ['what lies elsewhere', { sshd_config: 'Include /opt/sshd.conf\n' }, true],
  ['what lies elsewhere as well', { sshd_config: 'Include mine.conf /opt/sshd.conf\n' }, true],
  ['nothing where everybody else has it', {}, true],
])('asks sshd for the files of keys only where it must: %s', async (_what, files, isAsked) => {
  expect(await keyFiles(files)).toEqual([...(isAsked ? ASKED : []), DEFAULT]);
});

test('follows a link to the configuration', async () => {
  expect(await keyFiles({ 'linked/one': 'AuthorizedKeysFile x\n' }, 'ln -s linked/one sshd_config')).toHaveLength(4);
});

test.each([
  ['nothing but the default, which is known', {}, 'sshd() { return 1; }', 'yes'],
  ['another file, which sshd reports', { sshd_config: 'AuthorizedKeysFile x\n' }, ':', 'yes'],
  [
    'another file, while there are no host keys',
    { sshd_config: 'AuthorizedKeysFile x\n' },
    'sshd() { return 1; }',
    'no',
  ],
])('reports whether the files of keys can be known: %s', async (_what, files, before, expected) => {
  const all = { sshd_config: 'Include mine/*.conf\n', ...files };
  expect(await run(all, { before, call: 'knows_key_files && echo yes || echo no' })).toBe(expected);
});

/** What `key_files` prints for the account `ops`. */
async function keyFiles(files: Readonly<Record<string, string>>, before = ':'): Promise<string[]> {
  return (await run(files, { before, call: 'key_files' })).split('\n');
}

/** What a function prints; `before` runs in `/etc/ssh`. */
async function run(
  files: Readonly<Record<string, string>>,
  { before, call }: { readonly before: string; readonly call: string },
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-key-files-'));
  resources.defer(folder, () => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries({ ...prefixed(files), 'bin/sshd': SSHD })) {
    await mkdir(join(folder, dirname(name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  await chmod(join(folder, 'bin/sshd'), 0o755);
  const script = `mkdir -p "$1"/etc && mount --bind "$1"/etc /etc/ssh && cd /etc/ssh && ${before}
    PATH=$1/bin:$PATH user=ops home=/home/ops
    . "$2"
    ${call}`;
  const file = packagePath('workers/guest/key-files.sh');
  const { stdout } = await promisify(execFile)('unshare', ['--mount', 'sh', '-c', script, 'guest', folder, file]);
  return stdout.trim();
}

function prefixed(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`etc/${name}`, text]));
}
