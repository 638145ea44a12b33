import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { type LiveApi, MODULES, SECRET, startApi, TOKEN } from './live-api.ts';

let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

/** Files of an archive by their paths. */
async function unpacked(archive: Buffer): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const reader = extract();
  reader.on('entry', ({ name }, stream, next) => {
    text(stream).then((content) => {
      files.set(name, content);
      next();
    }, next);
  });
  await pipeline(Readable.from([archive]), createGunzip(), reader);
  return files;
}

test('everything that is known of a build is one archive', async () => {
  const { buildId } = await api.client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  const step = { module: 'base', vm: 'vm', step: 1, name: 'set up / it', type: 'shell' };
  await api.work();
  const add = (event: object) => api.redis.xadd(KEYS.buildEvents(buildId), '*', 'event', JSON.stringify(event));
  const line = { event: 'log', module: 'base', vm: 'vm', phase: 'provision', source: 'step' };
  await add({ ...line, source: 'farm', line: 'before the steps' });
  await add({ event: 'step-started', ...step });
  await add({ ...line, line: 'the first time' });
  await add({ event: 'step-finished', ...step, outcome: 'failed', exitCode: 1, durationMs: 1 });
  await add({ event: 'step-started', ...step, attempt: 1 });
  await add({ ...line, line: 'the second time' });

  const folder = await mkdtemp(join(tmpdir(), 'slipway-archive-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [node, main] = programCommand('cli/main');
  const file = join(folder, 'evidence.tar.gz');
  const child = spawn(node, [main, 'build', 'export', buildId.slice(-8), '-o', file, '--url', api.url], {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', SLIPWAY_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expect(await text(child.stdout)).toBe(`${file}\n`);
  const archive = await readFile(file);
  const files = await unpacked(archive);
  const top = `build-${buildId}`;
  const contentOf = (path: string) => files.get(`${top}/${path}`)?.replaceAll(/^\S+ /gm, '');
  expect(contentOf('base/vm/logs/02-set-up-it.log')).toBe('the first time\n');
  expect(contentOf('base/vm/logs/02-set-up-it-again-1.log')).toBe('the second time\n');
  expect(contentOf('base/vm/logs/provision.log')).toContain('before the steps\n');
  const events = (files.get(`${top}/events.jsonl`) ?? '').trimEnd().split('\n');
  expect(events.map((event) => JSON.parse(event).event)).toContain('build-finished');
  expect(JSON.parse(files.get(`${top}/build.json`) ?? '')).toMatchObject({
    buildId,
    modules: [
      { name: 'base', action: 'build' },
      { name: 'child', dependsOn: ['base'] },
    ],
  });
  expect(JSON.parse(files.get(`${top}/child/provenance.json`) ?? '')).toMatchObject({
    subject: [{ name: 'child:1/vm/root' }],
  });
  expect([...files.values()].join('')).not.toContain(SECRET);
  const streamed = await buffer(Readable.from(api.client.buildArchive(buildId)));
  expect([...(await unpacked(streamed)).keys()].sort()).toEqual([...files.keys()].sort());
});

test('is refused for an unknown build, and for viewers', async () => {
  const ask = async (client: typeof api.client) => buffer(Readable.from(client.buildArchive('none')));
  await expect(ask(api.client)).rejects.toThrow('Build "none" not found.');
  await expect(ask(api.as(await api.tokenOf('viewer')))).rejects.toThrow('needs the role builder');
});
