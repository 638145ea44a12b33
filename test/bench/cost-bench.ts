import { PHASES } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { startIdleFarm } from './farm-bench.ts';
import type { Measurement } from './measurement.ts';

/** Jobs of the builds whose costs are compared. */
const SIZES = [1_000, 10_000, 100_000];

/**
 * What one executed job costs in builds of three sizes: time, which must stay the same, and what Redis is asked for it, which does
 * not depend on the load of the machine.
 */
export async function* benchCost(): AsyncGenerator<Measurement> {
  await using resources = new ReleaseStack();
  const { farm, build } = await startIdleFarm(resources);
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const redis = await useRedis(resources, { url: farm.redisUrl, logger }, 'producer');
  // What the first build compiles and connects is not its cost.
  await build(50);
  let first: number | null = null;
  for (const jobs of SIZES) {
    await redis.config('RESETSTAT');
    const begun = performance.now();
    await build(jobs / PHASES.length);
    const cost = (performance.now() - begun) / jobs;
    const { calls, usec } = scriptsIn(await redis.info('commandstats'));
    const size = `${jobs.toLocaleString('en')} jobs`;
    yield { what: `cost per executed job, ${size}`, value: cost, unit: 'ms', target: '' };
    if (first !== null) yield { what: `${size} against the first`, value: cost / first, unit: 'x', target: '<= 1.3 x' };
    yield { what: `calls of scripts per job, ${size}`, value: calls / jobs, unit: '', target: '' };
    yield { what: `time of Redis in them per job, ${size}`, value: usec / 1000 / jobs, unit: 'ms', target: '' };
    first ??= cost;
  }
}

/** Everything is a script but the wait for jobs; what scripts call themselves is in their time. */
const SCRIPTS = /^cmdstat_(?:evalsha|eval):calls=(\d+),usec=(\d+)/gm;

function scriptsIn(stats: string): { readonly calls: number; readonly usec: number } {
  let [calls, usec] = [0, 0];
  for (const [, count, time] of stats.matchAll(SCRIPTS)) {
    calls += Number(count);
    usec += Number(time);
  }
  return { calls, usec };
}
