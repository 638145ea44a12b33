import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { FarmEvent } from '../contracts/events.ts';
import { FAILURES, type Failure, type FailureReason } from '../contracts/failures.ts';
import type { LayerRecord, LayerSpec } from '../contracts/layers.ts';
import { DEFAULT_LOG_LIMITS, type LogLimits } from '../contracts/log-limits.ts';
import type { PhaseClaim, PhaseResult, PhaseStore, SerialRead } from '../contracts/phase-store.ts';
import type { JobReference, Phase } from '../contracts/phases.ts';
import { SERIAL_KEPT_BYTES } from '../contracts/serial.ts';
import { FarmError } from '../errors/farm-error.ts';
import { anySignal } from '../lifecycle/any-signal.ts';
import { assertCurrent, cancelled, claimArguments, superseded } from './current-claim.ts';
import { attemptPlace } from './handbuilds.ts';
import { KEYS } from './keys.ts';
import { readLayerRecord } from './layers.ts';
import { ClaimLogs } from './log-batches.ts';
import type { Notices } from './notices.ts';
import { lastPause, pause } from './phase-pauses.ts';
import { readRedis, runScript } from './scripts.ts';
import { readSerialPosition } from './serial-logs.ts';

/** Same-generation tries of a phase after its first one. */
const MAX_FAULTS = 5;
/** Pause before the first of them, doubled for each further one. */
const FIRST_BACKOFF_MS = 2_000;

/** How a phase ended. */
export interface PhaseEnd {
  readonly phase: Phase;
  /** `succeeded`, `failed`, `cancelled`, or `requeue` when it is tried again for any reason. */
  readonly outcome: string;
  /** Reason of its failure by its executor; empty for other outcomes. */
  readonly reason: FailureReason | '';
  readonly elapsedMs: number;
}

/** Dependencies of a phase store. */
export interface PhaseStoreOptions {
  /** Role `producer`. */
  readonly redis: Redis;
  readonly notices: Notices;
  /** Hears how long a phase was ready before its first claim, ms. */
  readonly onHandOff?: (phase: Phase, elapsedMs: number) => void;
  /** Hears of every commit that counted, once. */
  readonly onCommit?: (end: PhaseEnd) => void;
  /** Limits on guest output. @defaultValue `DEFAULT_LOG_LIMITS` */
  readonly logLimits?: Pick<LogLimits, 'layer' | 'total'>;
  /** @defaultValue 2000 */
  readonly firstBackoffMs?: number;
}

const claimReply = z
  .tuple([z.int(), z.string(), z.int(), z.number(), z.string(), z.string(), z.number(), z.string()], z.string())
  .or(z.literal('abandon'))
  .nullable();
const pausesReply = z.array(z.string());
const secretsReply = z.record(z.string(), z.string());
const commitReply = z.tuple([z.enum(['committed', 'repeated', 'superseded']), z.number(), z.string()]);

/** The farm's state as workers see it; one per worker process. */
export function createPhaseStore(options: PhaseStoreOptions): PhaseStore {
  const { redis, notices, logLimits = DEFAULT_LOG_LIMITS } = options;
  const logs = new ClaimLogs(async (current, batch) => {
    const args = [...claimArguments(current), JSON.stringify(batch), logLimits.layer, logLimits.total];
    if ((await runScript(redis, 'log', args)) !== 1) throw superseded(current);
  });
  return {
    claim: (job, worker, fence = randomUUID()) => claim(options, job, { worker, fence }),
    assertCurrent: (current) => assertCurrent(redis, current),
    commit: (current, result) => {
      logs.of(current).flush();
      return commit(options, current, result);
    },
    emit: async (current, event) => {
      if (event.event === 'log') return logs.of(current).add(event);
      logs.of(current).flush();
      const args = [...claimArguments(current), JSON.stringify(event), markOf(event)];
      const reply = await runScript(redis, 'emit', args);
      if (reply !== 1) throw superseded(current);
    },
    watch: (current, signal) => watch({ redis, notices }, current, signal),
    pause: (current, event, limitMs) => pause(redis, current, { event, limitMs }),
    lastPause: (current) => lastPause(redis, current),
    onPauseChange: ({ job }, look) =>
      notices.listen((notice) => {
        const isOurs = notice.kind === 'handbuild' && notice.layerBuild === job.layerBuild && notice.vm === job.vm;
        if (isOurs || notice.kind === 'reconnected') look();
      }),
    keepSerial: (current, piece) => keepSerial(redis, current, { piece, totalBytes: logLimits.total }),
    useSource: async (current, { name, what, keepMs }, removal = '') => {
      const reply = await runScript(redis, 'use-source', [...claimArguments(current), name, what, keepMs, removal]);
      if (typeof reply !== 'string') throw superseded(current);
      return reply || null;
    },
    serialPosition: ({ job }, vmiUid) => readSerialPosition(redis, job.layerBuild, job.vm, vmiUid),
    saveScreenshot: async (current, png) => {
      const { job } = current;
      await assertCurrent(redis, current);
      await readRedis(redis.hset(KEYS.layerBuildScreens(job.layerBuild), job.vm, png));
    },
  };
}

async function keepSerial(
  redis: Redis,
  current: PhaseClaim,
  { piece, totalBytes }: { readonly piece: SerialRead; readonly totalBytes: number },
): Promise<void> {
  const lines = JSON.stringify(piece.lines);
  const position = `${piece.vmiUid} ${piece.readBytes}`;
  const kept = [SERIAL_KEPT_BYTES, totalBytes];
  const args = [...claimArguments(current), lines, Buffer.byteLength(lines), position, ...kept];
  if ((await runScript(redis, 'serial', args)) !== 1) throw superseded(current);
}

async function claim(
  options: PhaseStoreOptions,
  job: JobReference,
  { worker, fence }: { readonly worker: string; readonly fence: string },
): Promise<PhaseClaim | null> {
  const args = [job.layerBuild, job.generation, job.vm, job.phase, job.dispatch, worker, fence];
  const reply = claimReply.parse(await runScript(options.redis, 'claim', args));
  if (reply === 'abandon') await runScript(options.redis, 'abandon', args.slice(0, 5));
  if (reply === null || reply === 'abandon') return null;
  const [epoch, cluster, formerClaims, readyMs, spec, sealed, keptMs, pauses, ...records] = reply;
  const keepMs = keptMs > 0 ? keptMs : null;
  if (readyMs >= 0) options.onHandOff?.(job.phase, readyMs);
  const parents: Record<string, LayerRecord> = {};
  for (let index = 0; index + 1 < records.length; index += 2) {
    parents[records[index] ?? ''] = readLayerRecord(records[index + 1] ?? '');
  }
  const secrets = secretsReply.parse(JSON.parse(sealed));
  const pauseBefore = pausesReply.parse(JSON.parse(pauses));
  const known = { job, epoch, fence, cluster, formerClaims, keepMs, pauseBefore };
  return { ...known, parents, secrets, spec: JSON.parse(spec) as LayerSpec };
}

async function commit(options: PhaseStoreOptions, current: PhaseClaim, result: PhaseResult): Promise<void> {
  const failure = result.outcome === 'failed' ? result.failure : null;
  const reply = await runScript(options.redis, 'commit', [
    ...claimArguments(current),
    result.outcome,
    result.outcome === 'succeeded' && result.layerVm ? JSON.stringify(result.layerVm) : '',
    failure ? JSON.stringify(failure) : '',
    failure ? FAILURES[failure.reason].retry : '',
    result.outcome === 'requeue' ? Math.ceil(result.afterMs) : (options.firstBackoffMs ?? FIRST_BACKOFF_MS),
    MAX_FAULTS,
    failure ? JSON.stringify(exhausted(failure)) : '',
    doubtOf(result),
  ]);
  const [outcome, elapsedMs, became] = commitReply.parse(reply);
  if (outcome === 'superseded') throw superseded(current);
  if (outcome !== 'committed') return;
  options.onCommit?.({ phase: current.job.phase, outcome: became, reason: failure?.reason ?? '', elapsedMs });
}

/** Errors that a waiting phase gets from an unreachable cluster. */
const SILENCE: ReadonlySet<FailureReason> = new Set([
  'GuestNeverAnswered',
  'ImportFailed',
  'NotScheduled',
  'SnapshotFailed',
  'SourceUnreachable',
  'StepTimeout',
  'UncleanShutdown',
]);

/** Circumstances that invalidate a result; see commit.lua. */
function doubtOf(result: PhaseResult): 'silence' | 'planned' | '' {
  if (result.outcome === 'requeue') return result.isPlanned ? 'planned' : '';
  if (result.outcome !== 'failed') return '';
  const { reason } = result.failure;
  if (reason === 'MachineEvicted') return 'planned';
  return SILENCE.has(reason) ? 'silence' : '';
}

/** Driven by notices; the claim is also read when the watch begins and after every reconnection. */
async function watch(
  { redis, notices }: { readonly redis: Redis; readonly notices: Notices },
  current: PhaseClaim,
  signal: AbortSignal,
): Promise<AbortSignal> {
  const { job } = current;
  const controller = new AbortController();
  const look = () => assertCurrent(redis, current);
  const abortUnlessAway = (error: unknown) => {
    if (error instanceof FarmError && error.kind === 'cancelled') controller.abort(error);
  };
  const stop = notices.listen((notice) => {
    if (notice.kind === 'reconnected') return void look().catch(abortUnlessAway);
    if (!('layerBuild' in notice) || notice.layerBuild !== job.layerBuild) return;
    if (notice.kind === 'stop' && notice.generation === job.generation) controller.abort(cancelled(current));
    const same = notice.kind === 'claimed' && notice.vm === job.vm && notice.phase === job.phase;
    if (same && notice.generation === job.generation) void look().catch(abortUnlessAway);
  });
  signal.addEventListener('abort', stop, { once: true });
  controller.signal.addEventListener('abort', stop, { once: true });
  try {
    await look();
  } catch (error) {
    abortUnlessAway(error);
  }
  return anySignal(controller.signal, signal);
}

function exhausted(failure: Failure): Failure {
  return { ...failure, reason: 'RetriesExhausted', message: `${failure.reason}: ${failure.message}` };
}

/** Under which views find an event again; '' when they do not. */
function markOf(event: FarmEvent): string {
  if (event.event === 'step-started' || event.event === 'step-finished') {
    return `${event.vm}/${attemptPlace(event.step, event.attempt ?? 0)}/${event.event}`;
  }
  return event.event === 'phase-waiting' ? `${event.vm}/${event.phase}/phase-waiting` : '';
}
