import { setTimeout as delay } from 'node:timers/promises';
import { packagePath } from '../../../common/config/package-root.ts';
import { LABEL } from '../../harness/container-guard.ts';
import type { Engine } from './engine.ts';

const GONE_WITHIN_MS = 60_000;

/**
 * Runs every test that starts a Redis, with each Redis in a container of `image`. Elsewhere the same tests use the
 * system's. @throws when one fails, or when a container is left
 */
export async function testAdapters(engine: Engine, image: string): Promise<void> {
  const harness = packagePath('test', 'harness', 'redis-container.ts');
  await engine.run('npx', ['vitest', 'related', '--run', harness], { SLIPWAY_TEST_REDIS_IMAGE: image });
  const ours = ['ps', '--all', '--filter', `label=${LABEL}`, '--format', '{{.Names}} {{.Status}}'];
  const deadline = AbortSignal.timeout(GONE_WITHIN_MS);
  for (;;) {
    const left = (await engine.read('docker', ours)).trim();
    if (left === '') return;
    if (deadline.aborted) throw new Error(`The tests left containers behind: ${left}`);
    await delay(500);
  }
}
