import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { runCli } from '../../test/harness/farm.ts';
import { readConnection } from '../client/connection.ts';

const FARM_MS = 120_000;
const home = mkdtempSync(join(tmpdir(), 'slipway-up-'));
const dataDir = join(home, 'farm');
const environment = { ...process.env, XDG_STATE_HOME: join(home, 'state') };
const slipway = (...args: string[]) => runCli(args, environment);

afterAll(async () => {
  await slipway('down', '--purge', '--data-dir', dataDir);
  rmSync(home, { recursive: true, force: true });
}, FARM_MS);

const portOf = () => Number(new URL(readConnection(dataDir)?.url ?? '').port);

/** Holds a port of loopback until it is called. */
async function takePort(port: number): Promise<() => void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return () => server.close();
}

test('a farm keeps its port, prints its links again, and survives the death of `up`', {
  timeout: FARM_MS,
}, async () => {
  const settings = ['--set', 'http.limits.modules=2'];
  expect(await slipway('up', '--data-dir', dataDir, '--detach', ...settings)).toMatchObject({
    exitCode: 0,
    stderr: '',
  });
  const three = join(home, 'three.yaml');
  const vms = 'vms: [{ name: vm, source: { blank: true }, disks: [{ name: system, size: 64Mi }] }]';
  writeFileSync(three, ['one', 'two', 'three'].map((name) => `---\nname: ${name}\n${vms}\n`).join(''));
  expect((await slipway('build', three, '--no-wait')).stdout).toContain('a request may have at most 2 documents');
  const port = portOf();
  // As after `down` of a farm that was started later.
  rmSync(join(home, 'state', 'slipway', 'current.json'));
  const again = await slipway('up', '--data-dir', dataDir, '--detach', '--json');
  expect({ ...again, stdout: JSON.parse(again.stdout).url }).toMatchObject({
    exitCode: 0,
    stdout: `http://127.0.0.1:${port}`,
  });
  // The end of another farm is none of this one.
  const other = join(home, 'other');
  mkdirSync(other);
  expect(await slipway('down', '--data-dir', other)).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await slipway('open')).stdout).toMatch(new RegExp(`^http://127.0.0.1:${port}/sign-in\\?code=\\S+\\n$`));

  const pids: Record<string, number[]> = readConnection(dataDir)?.pids ?? {};
  process.kill(pids['up']?.[0] ?? 0, 'SIGKILL');
  const all = Object.values(pids).flat();
  await expect.poll(() => all.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  expect(await slipway('up', '--data-dir', dataDir, '--detach')).toMatchObject({
    exitCode: 0,
    stderr: `The last \`slipway up\` in ${dataDir} was killed. This one takes over its builds and machines.\n`,
  });
  expect(portOf()).toBe(port);

  await slipway('down', '--data-dir', dataDir);
  const release = await takePort(port);
  const refused = await slipway('up', '--data-dir', dataDir, '--detach', '--port', String(port));
  expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
  expect(refused.stderr).toContain(`Port ${port} of 127.0.0.1 is in use by another program.`);
  expect(existsSync(join(dataDir, 'connection.json'))).toBe(false);
  // Without the wish for that very port, another one will do.
  const { child, output } = upInForeground();
  await once(child.stdout ?? child, 'data');
  expect(portOf()).not.toBe(port);
  release();
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  expect({ code, output: await output }).toEqual({
    code: 0,
    output: expect.stringMatching(/The farm is up at http[\s\S]+stops; its builds continue at the next/),
  });
});

/** Its own process group, as a terminal gives it. */
function upInForeground(): { child: ChildProcess; output: Promise<string> } {
  const [node, main] = programCommand('cli/main');
  const child = spawn('sh', ['-c', 'exec "$@" 2>&1', 'sh', node, main, 'up', '--data-dir', dataDir], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, output: child.stdout ? text(child.stdout) : Promise.resolve('') };
}

test('options that are wrong, or not for people to set, are refused before anything starts', async () => {
  const up = async (setting: string) =>
    (await slipway('up', '--data-dir', dataDir, '--detach', '--set', setting)).stderr;
  expect(await up('http.limits.module=9')).toContain('Write OPTION=VALUE with an option of docs/configuration.md');
  expect(await up('http.limits.modules=many')).toMatch(/The configuration is not valid. http\.limits\.modules/);
  expect(await up('http.host=0.0.0.0')).toContain(
    'http.host cannot be set: on this farm it follows from other options',
  );
  expect(readConnection(dataDir)).toBeUndefined();
});

test('a machine without nft is refused before anything starts, and can be cleaned up', async () => {
  const empty = join(home, 'empty');
  const refused = await withoutNft('up', '--data-dir', empty, '--detach');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain(
    'This machine cannot run a farm yet:\n  nft: needed for packet filters of module networks',
  );
  expect(existsSync(empty)).toBe(false);
  expect(existsSync(dataDir)).toBe(true);
  const purged = await withoutNft('down', '--purge', '--data-dir', dataDir);
  expect(purged).toEqual({ code: 0, stdout: `The farm in ${dataDir} is removed.\n`, stderr: '' });
});

/** The CLI in a mount namespace in which `nft` is not a program. */
async function withoutNft(...args: string[]) {
  const hide = 'mount --bind /dev/null "$(PATH=$PATH:/usr/sbin command -v nft)" && exec "$@"';
  const command = ['--mount', 'sh', '-c', hide, 'sh', ...programCommand('cli/main'), ...args];
  const child = spawn('unshare', command, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stdout, stderr };
}
