import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { freePort } from '../../test/harness/free-ports.ts';
import { startEncryptedRedis } from '../../test/harness/redis-servers.ts';

/** What docs/operations.md asks operators to grant. */
const RIGHTS = '~{farm}* &{farm}* +@all -@dangerous -@admin +info +cluster|slots +cluster|keyslot';

test('builds continue over TLS with the rights of the documentation, and without the authority nothing does', {
  timeout: 90_000,
}, async () => {
  await using resources = new ReleaseStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-tls-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [certificate, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const names = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...kind, ...names, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  const port = await startEncryptedRedis(resources, { port: await freePort(), certificate, key, rights: RIGHTS });
  const build = (url: string, authority?: string) =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', BUILD], {
      cwd: packagePath(),
      env: { ...process.env, REDIS: url, ...(authority === undefined ? {} : { NODE_EXTRA_CA_CERTS: authority }) },
    }).then(({ stdout }) => stdout.trim());
  const url = `rediss://farm:sesame@127.0.0.1:${port}`;
  expect(await build(url, certificate)).toBe('succeeded');
  // Newer versions of Node.js add advice to the words of OpenSSL.
  expect(await build(url)).toMatch(
    `RedisUnavailable: Redis cannot be reached at 127.0.0.1:${port}: self-signed certificate`,
  );
  expect(await build(`redis://farm:sesame@127.0.0.1:${port}`)).toMatch(/^RedisUnavailable: /);
});

/** A process of its own, because Node reads its authorities once. */
const BUILD = `
  import { ReleaseStack } from './common/lifecycle/release-stack.ts';
  import { createLogger } from './common/logging/logger.ts';
  import { assertRedisFit } from './common/redis/connections.ts';
  import { KEYS } from './common/redis/keys.ts';
  import { submitBuild } from './common/redis/submissions.ts';
  import { startQueueScheduler, startQuickWorkers } from './test/harness/queue-farm.ts';
  import { sampleModule } from './test/harness/sample-spec.ts';
  const options = { url: process.env.REDIS, logger: createLogger({ name: 'test', level: 'silent' }) };
  const resources = new ReleaseStack();
  try {
    const { redis } = await startQueueScheduler(resources, options);
    await assertRedisFit(redis);
    await startQuickWorkers(resources, options, () => {});
    const [buildId, layerBuild] = ['1', '2'].map((digit) => digit.padStart(26, '0'));
    const modules = [sampleModule({ name: 'base', layerKey: 'k', layerBuild })];
    await submitBuild(redis, { buildId, idempotencyKey: null, digest: '', retentionMs: 60_000, modules });
    let state;
    do state = await redis.hget(KEYS.build(buildId), 'state');
    while (state !== 'succeeded' && state !== 'failed');
    console.log(state);
  } catch (error) {
    console.log(error.code + ': ' + error.message);
  }
  process.exit(0);
`;
