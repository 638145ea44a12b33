import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FarmFiles, writePointer } from '../farm/farm-files.ts';
import { currentDataDir, findFarm, flagsOf, pointerFile, readConnection } from './connection.ts';

let directory: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-connection-'));
  environment = { XDG_STATE_HOME: directory };
  const kubeconfig = join(directory, 'kubeconfig');
  new FarmFiles(directory).writeConnection({
    ...{ url: 'http://127.0.0.1:1', token: 'local', kubeconfig, redisUrl: 'redis://127.0.0.1:2', pids: {} },
  });
});

afterAll(() => rm(directory, { recursive: true }));

const point = (pid: number) => writePointer(pointerFile(environment), { dataDir: directory, pid });

test.each([
  ['a flag', { url: 'http://flag/', token: 'f' }, 'http://env', { url: 'http://flag', token: 'f' }],
  ['a flag without a token', { url: 'http://flag' }, 'http://env', { url: 'http://flag', token: 'env token' }],
  ['the environment', {}, 'http://env', { url: 'http://env', token: 'env token' }],
  ['the farm of this machine', {}, undefined, { url: 'http://127.0.0.1:1', token: 'local' }],
])('takes the farm from %s', (_source, flags, variable, expected) => {
  point(process.pid);
  const named = variable === undefined ? {} : { SLIPWAY_URL: variable, SLIPWAY_TOKEN: 'env token' };
  expect(findFarm(flags, { ...environment, ...named })).toEqual(expected);
});

test('names the farm to a command that runs later, elsewhere', () => {
  const named = { SLIPWAY_URL: 'http://env', SLIPWAY_TOKEN: 'secret', SLIPWAY_CA_FILE: 'ca.pem' };
  expect(flagsOf({}, named)).toEqual(['--url', 'http://env', '--ca-file', resolve('ca.pem')]);
  expect(flagsOf({ url: 'http://flag', token: 'secret' }, named)).toEqual(expect.arrayContaining(['http://flag']));
  expect(flagsOf({}, environment)).toEqual([]);
});

test('never sends the token of the local farm to another one', () => {
  point(process.pid);
  expect(findFarm({ url: 'http://elsewhere' }, environment)).toEqual({ url: 'http://elsewhere', token: '' });
  expect(findFarm({ url: 'http://127.0.0.1:1' }, environment)?.token).toBe('local');
});

test('passes over the pointer of a process that is gone', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  point(child.pid ?? 0);
  expect(currentDataDir(environment)).toBeUndefined();
  expect(findFarm({}, environment)).toBeUndefined();
});

test('takes a torn or foreign file for none', async () => {
  await writeFile(pointerFile(environment), '{"dataDir":"/somewhere"');
  expect(currentDataDir(environment)).toBeUndefined();
  expect(readConnection(join(directory, 'nowhere'))).toBeUndefined();
});
