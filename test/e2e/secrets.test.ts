import { hash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { dumpRedis } from '../harness/redis-dump.ts';
import { traces } from '../harness/traces.ts';

const BUILD_MS = 600_000;
const MODULES = packagePath('test', 'e2e', 'modules', 'secrets.yaml');

const planted = () => randomBytes(24).toString('base64');
const WORD = `wörd/${planted()}?&`;
const LINES = [planted(), planted()] as const;
const KEY = `-----BEGIN KEY-----\n${LINES.join('\n')}\n-----END KEY-----\n`;

const PASSWORD = randomBytes(24).toString('hex');

const sha256 = (text: string) => hash('sha256', text);

/** The forms of the planted values in a text. */
const found = (text: string) => [WORD, ...LINES, PASSWORD].flatMap((value) => traces(value, text));

describe('secrets that guests give away, and the password of a URL', () => {
  const resources = new ReleaseStack();
  const dumps: string[] = [];
  const events: StoredEvent[] = [];
  let farm: TestFarm;
  let variables: Record<string, string>;

  beforeAll(async () => {
    const image = await serveFile((await guestImages()).cloudImage, undefined, `ci:${PASSWORD}`);
    resources.defer('image', () => image.stop());
    const hashes = { WORD_SHA256: sha256(WORD), KEY_SHA256: sha256(KEY) };
    variables = { IMAGE_URL: image.url.replace('://', `://ci:${PASSWORD}@`), IMAGE_SHA256: image.sha256, ...hashes };
    farm = await startFarm({ flags: ['--vms', '1'] });
    resources.defer('farm', () => farm.purge());
  }, 240_000);

  afterAll(() => resources.close(), 120_000);

  test('are set from files', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-secrets-'));
    resources.defer('files', () => rmSync(folder, { recursive: true }));
    for (const [name, value] of Object.entries({ word: WORD, key: KEY })) {
      writeFileSync(join(folder, name), value);
      const set = await farm.slipway('secret', 'set', name, '--from-file', join(folder, name));
      expect(set).toMatchObject({ exitCode: 0 });
      dumps.push(set.stdout, set.stderr);
    }
  });

  test('reach the guest', { timeout: BUILD_MS }, async () => {
    const logger = createLogger({ name: 'test', level: 'silent' });
    const redis = await useRedis(resources, { url: farm.connection.redisUrl, logger }, 'producer');
    const submission = { files: readModuleFiles([MODULES]), variables };
    const { buildId } = await farm.client.submit(submission);
    const pinned = new Set<string>();
    for await (const event of farm.client.events(buildId)) {
      events.push(event);
      const dump = await dumpRedis(redis);
      for (const [key] of dump.matchAll(/\{farm\}:layer-build:[^: ]+:secrets/g)) pinned.add(key);
      dumps.push(dump);
    }
    const lines = linesOf('keeper');
    expect(lines.filter((line) => line.endsWith(': OK'))).toEqual(
      ['from-cloud-init', 'from-command', 'from-script', 'from-env', 'key.pem', 'from-reboot'].map(
        (name) => `/root/${name}: OK`,
      ),
    );
    expect(linesOf('telltale')).toContain('/root/from-shutdown: OK');
    expect(pinned.size).toBe(2);
    expect(await redis.exists(...pinned)).toBe(0);
  });

  test('are hidden in what it prints', () => {
    const lines = linesOf('keeper');
    expect(lines).toContain('the word is ***.');
    const key = lines.slice(lines.indexOf('the key is') + 1);
    expect(key.slice(0, 4)).toEqual(['-----BEGIN KEY-----', '***', '***', '-----END KEY-----']);
    expect(lines.filter((line) => /^-{16000}/.test(line))).toEqual([expect.stringMatching(/^-+\*\*\*$/)]);
    const end = events.at(-1);
    const failure =
      end?.event === 'build-finished' ? end.modules.find(({ name }) => name === 'telltale')?.failure : null;
    expect(failure).toMatchObject({ reason: 'StepFailed', logTail: expect.arrayContaining(['it ends with ***']) });
  });

  test('appear in no output of the farm', async () => {
    const [build] = await farm.client.builds();
    const id = build?.buildId ?? '';
    const flags = Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}=${value}`]);
    for (const args of [
      ['logs', id],
      ['logs', id, '--json'],
      ['logs', id, '--serial'],
      ['ps', '--json'],
      ['plan', MODULES, '--json', ...flags],
    ]) {
      const { stdout, stderr, exitCode } = await farm.slipway(...args);
      expect([args[0], exitCode, stdout.length > 10]).toEqual([args[0], 0, true]);
      dumps.push(stdout, stderr);
    }
    const list = await farm.slipway('secret', 'list');
    expect(list.stdout).toMatch(/^key +bootstrap .*\nword +bootstrap /m);
    dumps.push(list.stdout, JSON.stringify(events));
    // What is asked of one machine or one blob needs more than the build: the serial log is asked for above.
    const paths = OPERATION_LIST.filter(({ method }) => method === 'get')
      .map(({ path }) => path.replace('{id}', id))
      .filter((path) => !path.includes('{'));
    for (const path of [...paths, ...['import', 'provision', 'snapshot'].map(boardOf)]) {
      const answer = await fetch(`${farm.connection.url}${path}`, {
        headers: { authorization: `Bearer ${farm.connection.token}` },
      });
      expect([path, answer.status]).toEqual([path, 200]);
      dumps.push(await answer.text());
    }
    expect(dumps.length).toBeGreaterThan(40);
    expect(dumps.flatMap(found)).toEqual([]);
  });

  test('stand nowhere in what it keeps: its logs, and all that Redis ever wrote', () => {
    const files = readdirSync(farm.dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(farm.dataDir, 'cluster')))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const kept of ['logs/scheduler', 'logs/provision', 'redis/']) {
      expect(files.filter((file) => file.startsWith(join(farm.dataDir, kept)))).not.toEqual([]);
    }
    expect(files.flatMap((file) => found(readFileSync(file, 'utf8')).map((form) => [file, form]))).toEqual([]);
  });

  function linesOf(module: string): string[] {
    return events.flatMap((event) =>
      event.event === 'log' && event.module === module && event.source === 'step' ? [event.line] : [],
    );
  }
});

function boardOf(phase: string): string {
  return `/queues/api/queues?activeQueue=${phase}--local&status=completed`;
}
