import type { Redis } from 'ioredis';
import type { Limits } from '../../common/contracts/builds.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { type Failure, type FailureReason, failureSchema } from '../../common/contracts/failures.ts';
import type { Owners } from '../../common/contracts/owners.ts';
import type { PhaseClaim, PhaseStore } from '../../common/contracts/phase-store.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { type Dispatch, takeReady } from '../../common/redis/dispatches.ts';
import { readEvents, readPastEvents } from '../../common/redis/event-streams.ts';
import { type Notices, subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import { advertise } from '../../common/redis/presence.ts';
import { type SubmissionReply, submitBuild } from '../../common/redis/submissions.ts';
import type { BuildSubmission, SubmittedModule } from '../../common/redis/write-submission.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { sampleLayerVm } from './sample-spec.ts';
import { useVirtualTime, type VirtualTime } from './virtual-redis-time.ts';

const LIMITS = { imports: 4, vms: 4, cpu: 8, memoryBytes: 8 * 1024 ** 3 };
const logger = createLogger({ name: 'test', level: 'silent' });

let ids = 0;
/** An id of the length of a ULID. */
export const newId = () => String(++ids).padStart(26, '0');

/** A failure as an executor hands it back. */
export function sampleFailure(reason: FailureReason): Failure {
  return failureSchema.parse({ reason, message: 'It broke.' });
}

/**
 * The scripts of the farm on a real Redis whose time a test decides, and what schedulers and workers ask of them. One for a
 * file; `reset` before each test.
 */
export class FarmState {
  readonly server: RedisServer;
  readonly redis: Redis;
  readonly notices: Notices;
  readonly store: PhaseStore;
  readonly time: VirtualTime;

  private constructor(parts: Pick<FarmState, 'server' | 'redis' | 'notices' | 'store' | 'time'>) {
    this.server = parts.server;
    this.redis = parts.redis;
    this.notices = parts.notices;
    this.store = parts.store;
    this.time = parts.time;
  }

  static async open(resources: ReleaseStack): Promise<FarmState> {
    const server = await startRedis();
    resources.defer('redis-server', () => server.stop());
    const redis = await useRedis(resources, { url: server.url, logger }, 'producer');
    const time = useVirtualTime(redis);
    const listener = await useRedis(resources, { url: server.url, logger }, 'listener');
    const notices = await subscribeNotices(listener, logger);
    const store = createPhaseStore({ redis, notices, firstBackoffMs: 1 });
    return new FarmState({ server, redis, notices, store, time });
  }

  /** An empty farm with workers of every phase on these clusters. */
  async reset(clusters: readonly string[] = ['lab']): Promise<void> {
    await this.redis.flushall();
    for (const cluster of clusters) await this.advertise(cluster);
  }

  /** Workers of every phase report their presence. */
  async advertise(cluster = 'lab'): Promise<void> {
    for (const phase of PHASES) await advertise(this.redis, { worker: 'w', phase, cluster, capacity: 8 });
  }

  async submit(
    modules: SubmittedModule[],
    terms: Partial<Pick<BuildSubmission, 'submittedBy' | 'priority' | 'idempotencyKey' | 'digest'>> = {},
  ): Promise<{ buildId: string; reply: SubmissionReply }> {
    const buildId = newId();
    const request = { buildId, idempotencyKey: null, digest: buildId, retentionMs: 60_000, modules, ...terms };
    return { buildId, reply: await submitBuild(this.redis, request) };
  }

  async take(cluster = 'lab', limits: Limits = LIMITS, owners?: Owners): Promise<readonly Dispatch[]> {
    return (await takeReady(this.redis, { cluster, limits, ...(owners && { owners }) })).jobs;
  }

  async claim(job: Dispatch | undefined, worker = 'w1'): Promise<PhaseClaim> {
    const claim = job ? await this.store.claim(job.reference, worker) : null;
    if (!claim) throw new Error('There was nothing to claim.');
    return claim;
  }

  async succeed(claim: PhaseClaim): Promise<void> {
    const { vm, phase } = claim.job;
    const layer = phase === 'snapshot' ? { layerVm: sampleLayerVm(vm, `s-${vm}`) } : {};
    await this.store.commit(claim, { outcome: 'succeeded', ...layer });
  }

  async fail(claim: PhaseClaim, reason: FailureReason): Promise<void> {
    await this.store.commit(claim, { outcome: 'failed', failure: sampleFailure(reason) });
  }

  /** Takes the next job and lets it succeed. */
  async runNext(cluster = 'lab'): Promise<PhaseClaim> {
    const [job] = await this.take(cluster);
    const claim = await this.claim(job);
    await this.succeed(claim);
    return claim;
  }

  /** Events of a build so far. */
  async eventsSoFar(buildId: string): Promise<FarmEvent[]> {
    const events: FarmEvent[] = [];
    for await (const event of readPastEvents(this.redis, { buildId, lastEventId: '0' })) events.push(event);
    return events;
  }

  /** All events of a build, to its end. */
  async events(buildId: string): Promise<FarmEvent[]> {
    const reader = this.redis.duplicate({ enableOfflineQueue: true });
    const events: FarmEvent[] = [];
    for await (const event of readEvents(reader, { buildId, lastEventId: '0' }, new AbortController().signal)) {
      if (event) events.push(event);
    }
    reader.disconnect();
    return events;
  }
}
