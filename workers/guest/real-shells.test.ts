import { hash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { maskSecrets } from '../../common/logging/mask.ts';
import { startShellServer } from '../../test/harness/shell-server.ts';
import { GuestLink } from './guest-link.ts';
import { GuestLog } from './guest-log.ts';
import { runProgram } from './run-program.ts';
import type { StepProgram } from './supervisor.ts';
import { uploadFile } from './upload.ts';

/** Real shells and real accounts, without a machine: the "guest" is a mount namespace of this host. */
const BUILD = '01JD0000000000000000000000.g1.shells';
/** A hardened guest: nothing can be executed where the farm may write, and the host's own folders are not touched. */
const HARDENED = [
  ...['/var/lib', '/var/tmp', '/tmp', '/home'].map((folder) => `mount -t tmpfs -o noexec,mode=1777 none ${folder}`),
  'mount -t tmpfs -o noexec,mode=1777 tmpfs /dev/shm',
].join(' && ');
const AROUND = ['unshare', '--mount', 'sh', '-c', `${HARDENED} && exec "$@"`, 'guest'];
/** Not root; it may become another account, as with sudo, but not give files away. */
const USER = ['setpriv', '--reuid=4711', '--clear-groups', '--inh-caps=+setuid', '--ambient-caps=+setuid'];

const resources = new ReleaseStack();
const links: GuestLink[] = [];

afterEach(() => {
  for (const link of links.splice(0)) link.close();
});
afterAll(() => resources.close());

test.each([
  ['bash', '.bashrc', 'echo Welcome to the lab\necho Have fun >&2\nprintf "no newline"\n'],
  ['zsh', '.zshenv', 'echo Welcome to the lab\necho Have fun >&2\n'],
  ['fish', '.config/fish/config.fish', 'echo Welcome to the lab\necho Have fun >&2\n'],
  ['tcsh', '.tcshrc', 'echo Welcome to the lab\nalias rm "rm -i"\n'],
  // It reads no file of this kind; it must be understood all the same.
  ['sh', '.profile', 'echo Welcome to the lab\n'],
])('accepts any noise of %s', { timeout: 60_000 }, async (shell, file, noise) => {
  const link = await openLink({ shell: `/usr/bin/${shell}`, files: [[file, noise]] });
  const { lines, exitCode } = await run(link, 0, { script: 'echo aaa; sleep 1; echo bbb >&2; exit 3' });
  expect({ lines, exitCode }).toEqual({ lines: ['aaa', 'bbb'], exitCode: 3 });

  const guest = await link.connect();
  expect(await guest.exec('echo one; exit 4')).toEqual({ exitCode: 4, output: 'one\n' });
  const content = 'echo "not a command"\n$HOME!\n';
  const home = (await guest.exec('printf %s "$HOME"')).output;
  const destination = `${home}/it's "a file" $x`;
  const file64 = { sizeBytes: content.length, sha256: '', content: () => Readable.from([Buffer.from(content)]) };
  await uploadFile(guest, { ...file64, destination, sha256: hash('sha256', content) });
  expect((await guest.exec(`cat "$HOME"/it*`)).output).toBe(content);
  await expect(uploadFile(guest, { ...file64, destination: `${home}/none/file` })).rejects.toThrow(
    /The guest refused ".*none\/file": .*(nonexistent|No such file|Directory)/i,
  );
});

test('runs scripts by their interpreters where nothing can be executed', { timeout: 60_000 }, async () => {
  const link = await openLink({});
  const python = `import sys\nprint('-u' in sys.orig_argv, sys.argv)\n`;
  const scripts = [
    ['#!/bin/sh -eu\necho "$-"\n', /^.*e.*u|u.*e/],
    [`#!/usr/bin/env python3 -u\n${python}`, /^True \['.*script'\]$/],
    [`#! /usr/bin/env -S python3 -u\n${python}`, /^True \[/],
    [`#!/usr/bin/python3 -u\n${python}`, /^True \[/],
    ['#!/usr/bin/awk -f\nBEGIN { print "by awk" }\n', /^by awk$/],
    ['[ -z "$BASH_VERSION" ] || echo by bash\n', /^by bash$/],
  ] as const;
  for (const [index, [script, line]] of scripts.entries()) {
    const { lines, exitCode } = await run(link, index, { script });
    expect(lines.join('\n'), script).toMatch(line);
    expect(exitCode, script).toBe(0);
  }
});

test('keeps variables of its own out of scripts', { timeout: 60_000 }, async () => {
  const link = await openLink({});
  const env = { file: 'mine', code: 'my own', n: '7', memory: 'none', root: '/', state: "it's" };
  const script = 'echo "$file,$code,$n,$memory,$root,$state"; env | grep -c slipway_; echo "$LC_ALL"; umask';
  const { lines } = await run(link, 0, { script, env });
  expect(lines).toEqual(["mine,my own,7,none,/,it's", '0', '', '0022']);
});

test('gives the files of a step to the account that runs it, and to no other', { timeout: 60_000 }, async () => {
  const link = await openLink({});
  // Another account, which the step has not started, asks for them too.
  const thief = [
    `cd /dev/shm/.slipway-0/${BUILD}`,
    'until [ -p ask ] && [ -w ask ]; do sleep 0.05; done; echo $$ >ask',
    'while :; do for f in 1.script 1.env; do cat $f 2>/dev/null && echo read; done; sleep 0.05; done',
  ].join('\n');
  const daemon = `setsid setpriv --reuid=4712 --clear-groups sh -c '${thief}' >/tmp/stolen 2>&1 &`;
  expect((await run(link, 0, { script: daemon })).exitCode).toBe(0);
  const wrapper = `sleep 1; su -s /bin/sh nobody -c '{{ .Command }}'`;
  const { lines } = await run(link, 1, {
    script: 'id -un; stat -c %U:%a "$0"; echo $WHO',
    env: { WHO: 'me' },
    wrapper,
  });
  expect(lines).toEqual(['nobody', 'nobody:600', 'me']);
  const guest = await link.connect();
  expect((await guest.exec('cat /tmp/stolen; pkill -u 4712; ls -A /var/lib/slipway/*')).output).toBe('0\n1\n');
});

test('gives them to another account without being root', { timeout: 60_000 }, async () => {
  const link = await openLink({ around: [...AROUND, ...USER] });
  const wrapper = `setpriv --reuid=65534 --inh-caps=-setuid --ambient-caps=-setuid {{ .Command }}`;
  const { lines, exitCode } = await run(link, 0, { script: 'id -u; echo $WHO', env: { WHO: 'me' }, wrapper });
  expect({ lines, exitCode }).toEqual({ lines: ['65534', 'me'], exitCode: 0 });
});

test('reports the message of a login shell that runs no commands', async () => {
  const words = 'WARNING: Your password has expired.\\nPassword change required but no TTY available.\\n';
  const link = await openLink({
    files: [['shell', `#!/bin/sh\nprintf '${words}' >&2\nexit 1\n`]],
    shell: 'HOME/shell',
  });
  const failure = { reason: 'GuestNeverAnswered', message: expect.stringContaining('Password change required') };
  await expect(link.connect()).rejects.toMatchObject({ failure });
});

interface GuestOptions {
  readonly shell?: string;
  readonly around?: readonly string[];
  /** Name below the home, and content. */
  readonly files?: readonly (readonly [string, string])[];
}

async function openLink({ shell = '/bin/sh', around = AROUND, files = [] }: GuestOptions): Promise<GuestLink> {
  const home = await mkdtemp(join(packageTmp(), 'slipway-home-'));
  resources.defer('home', () => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o777);
  for (const [name, content] of files) {
    await mkdir(dirname(join(home, name)), { recursive: true });
    await writeFile(join(home, name), content, { mode: 0o755 });
  }
  const server = await startShellServer(resources, { shell: shell.replace('HOME', home), home, around });
  const link = new GuestLink({
    dial: server.dial,
    credentials: { username: 'root', privateKeys: [server.privateKey], password: undefined },
    hostKeys: { read: async () => undefined, write: async () => {} },
    timeoutMs: 10_000,
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: AbortSignal.timeout(60_000),
  });
  links.push(link);
  return link;
}

async function run(link: GuestLink, index: number, program: Partial<StepProgram>) {
  const lines: string[] = [];
  const end = await runProgram({
    ...{ link, build: BUILD, index, timeoutMs: 30_000, clock: systemClock },
    program: { script: '', env: {}, wrapper: null, ...program },
    beforeStart: async () => {},
    openLog: (offset) => {
      const emit = async (line: string) => void lines.push(line);
      return new GuestLog({
        emit,
        offset,
        mask: maskSecrets([]),
        clock: systemClock,
        signal: AbortSignal.timeout(60_000),
      });
    },
  });
  return { lines, exitCode: end.exitCode };
}

/** Not one of the folders that the guest has its own of. */
function packageTmp(): string {
  return process.env['XDG_RUNTIME_DIR'] ?? (tmpdir() === '/tmp' ? '/run' : tmpdir());
}
