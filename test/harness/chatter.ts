import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { systemClock } from '../../common/clock/clock.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { PHASES, REDIS_PREFIX } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { takeReady } from '../../common/redis/dispatches.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise } from '../../common/redis/presence.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { GuestLog } from '../../workers/guest/guest-log.ts';
import { newId } from './farm-state.ts';
import type { LoneScheduler } from './lone-scheduler.ts';
import { sampleModule } from './sample-spec.ts';

/** A cluster that the scheduler does not know: it leaves what is built there alone. */
const CLUSTER = 'chatter';
const PIECE = Buffer.from(`${'x'.repeat(80)}\n`.repeat(800));

/** What came of guests that print as fast as they are read. */
export interface Chatter {
  /** Of all guests, as they were read. */
  readonly bytes: number;
  /** Round trips of PING and of a request to the API meanwhile, ms, in order. */
  readonly pingMs: readonly number[];
  readonly apiMs: readonly number[];
  /** What the farm counts of its logs. */
  readonly keptBytes: number;
}

/** Lets so many steps print without end for a while, beside a scheduler that is asked meanwhile; the output is generated. */
export async function chatter(
  scheduler: LoneScheduler,
  { guests, forMs }: { readonly guests: number; readonly forMs: number },
  resources: ReleaseStack,
): Promise<Chatter> {
  const logger = createLogger({ name: 'chatter', level: 'silent' });
  const connect = (role: 'producer' | 'listener') => useRedis(resources, { url: scheduler.redisUrl, logger }, role);
  const redis = await connect('producer');
  const store = createPhaseStore({ redis, notices: await subscribeNotices(await connect('listener'), logger) });
  for (const phase of PHASES) await advertise(redis, { worker: 'w', phase, cluster: CLUSTER, capacity: guests });
  for (let guest = 0; guest < guests; guest += 1) {
    const id = newId();
    const modules = [sampleModule({ name: `m${guest}`, layerKey: id, layerBuild: id, cluster: CLUSTER })];
    await submitBuild(redis, { buildId: id, idempotencyKey: null, digest: id, retentionMs: 60_000, modules });
  }
  const limits = { imports: guests, vms: guests, cpu: guests, memoryBytes: 2 ** 40 };
  const { jobs } = await takeReady(redis, { cluster: CLUSTER, limits });
  const claims = await Promise.all(jobs.map(({ reference }) => store.claim(reference, 'w')));
  const over = AbortSignal.timeout(forMs);
  const talk = async (claim: PhaseClaim | null): Promise<number> => {
    assert(claim, 'What was just dispatched can be claimed.');
    const { vm, phase } = claim.job;
    const where = { event: 'log', module: claim.spec.module.name, vm, phase, source: 'step' } as const;
    const emit = (line: string) => store.emit(claim, { ...where, line });
    const log = new GuestLog({ emit, mask: (text) => text, clock: systemClock, signal: over, offset: 0 });
    while (!over.aborted) await log.push(PIECE).catch(() => undefined);
    await log.end().catch(() => undefined);
    return log.received;
  };
  const [bytes, { pingMs, apiMs }] = await Promise.all([Promise.all(claims.map(talk)), askMeanwhile(scheduler, forMs)]);
  const keptBytes = Number(await redis.get(`${REDIS_PREFIX}:logs:total`));
  return { bytes: bytes.reduce((sum, each) => sum + each, 0), pingMs, apiMs, keptBytes };
}

const timesSchema = z.object({ pingMs: z.array(z.number()), apiMs: z.array(z.number()) });

/** Asks from a process of its own: this one is busy talking. */
async function askMeanwhile(
  { redisUrl, url, token }: LoneScheduler,
  forMs: number,
): Promise<Pick<Chatter, 'pingMs' | 'apiMs'>> {
  const { hostname, port } = new URL(redisUrl);
  const code = `
    import { once } from 'node:events';
    import { connect } from 'node:net';
    const redis = connect(${port}, '${hostname}');
    const ping = () => { redis.write('PING\\r\\n'); return once(redis, 'data'); };
    const headers = { authorization: 'Bearer ' + process.env.TOKEN };
    const list = async () => (await fetch('${url}/api/v1/builds', { headers })).text();
    const until = performance.now() + ${forMs};
    const times = async (ask) => {
      const all = [];
      for (let now; (now = performance.now()) < until; ) {
        await ask();
        all.push(performance.now() - now);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return all.sort((a, b) => a - b);
    };
    const [pingMs, apiMs] = await Promise.all([times(ping), times(list)]);
    redis.destroy();
    console.log(JSON.stringify({ pingMs, apiMs }));
  `;
  const env = { PATH: process.env['PATH'], TOKEN: token };
  const asked = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env });
  return timesSchema.parse(JSON.parse(asked.stdout));
}

/** The value that so many per cent of these, in order, are not above. */
export function percentile(ordered: readonly number[], percent: number): number {
  return ordered[Math.min(ordered.length - 1, Math.floor((ordered.length * percent) / 100))] ?? 0;
}
