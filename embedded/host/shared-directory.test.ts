import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { connectShared, makeSharedFile, shareDirectory, shareFiles } from './shared-directory.ts';

const USER = 1_900_000_007;

/** A directory with a file of ours and a secret beside it. */
function place() {
  const root = mkdtempSync(join(tmpdir(), 'slipway-shared-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const directory = join(root, 'shared');
  mkdirSync(directory);
  writeFileSync(join(directory, 'ours'), 'ours', { mode: 0o600 });
  writeFileSync(join(root, 'secret'), 'secret', { mode: 0o600 });
  return { directory, secret: join(root, 'secret') };
}

test('a link is neither connected to, nor written to, nor shared', async () => {
  const { directory, secret } = place();
  const socket = `${secret}.sock`;
  const server = createServer().listen(socket);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  symlinkSync(socket, join(directory, 'link.sock'));
  symlinkSync(secret, join(directory, 'link'));
  await shareDirectory(directory, USER);
  await shareFiles(directory, USER);
  await expect(connectShared(join(directory, 'link.sock'))).rejects.toMatchObject({ code: 'ConnectionLost' });
  await expect(connectShared(join(directory, 'ours'))).rejects.toThrow('it is not a socket');
  await expect(makeSharedFile(join(directory, 'link'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(readFileSync(secret, 'utf8')).toBe('secret');
  const { uid, gid, mode } = statSync(secret);
  expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: process.getuid?.(), gid: process.getgid?.(), mode: 0o600 });
  (await connectShared(socket)).destroy();
});

test('files of the server can be written by the user, and not replaced', async () => {
  const { directory } = place();
  await shareDirectory(directory, USER);
  await shareFiles(directory, USER);
  const owned = (path: string) => [statSync(path).uid, statSync(path).gid, (statSync(path).mode & 0o7777).toString(8)];
  expect(owned(directory)).toEqual([0, USER, '1770']);
  expect(owned(join(directory, 'ours'))).toEqual([0, USER, '660']);
  const file = await makeSharedFile(join(directory, 'picture'));
  await file.close();
  expect(owned(join(directory, 'picture'))).toEqual([0, USER, '660']);
});
