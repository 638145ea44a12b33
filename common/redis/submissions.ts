import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { FarmError } from '../errors/farm-error.ts';
import { type BuildModule, readBuildModules, readStoredModules } from './builds.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';
import { advance } from './tasks.ts';
import { type BuildSubmission, writeSubmission } from './write-submission.ts';

export type SubmissionReply = Reply<readonly BuildModule[]>;
type WrittenReply = Reply<string>;
type Reply<Modules> =
  /** `existing`: it was already accepted under its key, with these modules. */
  | { readonly outcome: 'accepted' | 'existing'; readonly buildId: string; readonly modules: Modules }
  /** A layer that the plan counted on has come or gone: plan again. */
  | { readonly outcome: 'stale'; readonly layerKey: string };

/** Accepts a build, all or nothing. @throws IdempotencyConflict, RedisUnavailable */
export async function submitBuild(redis: Redis, submission: BuildSubmission): Promise<SubmissionReply> {
  const reply = await sendSubmission(redis, writeSubmission(submission));
  return reply.outcome === 'stale' ? reply : { ...reply, modules: readBuildModules(reply.modules) };
}
/** Modules that are sent at once, of which those after the first have so many characters together. */
const PIECE = 50;
const PIECE_CHARACTERS = 512 * 1024;

const sentReply = z.tuple([z.string()], z.union([z.string(), z.number()]));

/**
 * As `submitBuild`; the modules of the reply are as `readBuildModules` takes them. A large submission goes in pieces. From
 * when all of them are there any process makes it a build, also when this one dies.
 */
export async function sendSubmission(redis: Redis, written: readonly string[]): Promise<WrittenReply> {
  const [header = '', accepted = '', criticalPath = '', ...texts] = written;
  for (let sent = 0; ; ) {
    const once = sent === 0 ? [accepted, criticalPath] : ['', ''];
    const args = [header, ...once, sent, ...pieceAt(texts, 2 * sent)];
    const [outcome, about = ''] = sentReply.parse(await runScript(redis, 'submit', args));
    const first = String(about);
    switch (outcome) {
      case 'staged':
        sent = Number(about);
        break;
      case 'submitting':
        await advance(redis);
        break;
      case 'accepted':
      case 'existing':
        await untilReplicated(redis);
        return { outcome, buildId: first, modules: await readStoredModules(redis, first) };
      case 'stale':
        return { outcome, layerKey: first };
      default:
        throw keyTaken();
    }
  }
}

/** A module and its specification, in turns. */
function pieceAt(texts: readonly string[], from: number): readonly string[] {
  let to = from;
  let characters = 0;
  do {
    characters += (texts[to]?.length ?? 0) + (texts[to + 1]?.length ?? 0);
    to += 2;
  } while (to < from + 2 * PIECE && characters < PIECE_CHARACTERS);
  return texts.slice(from, to);
}

/** A replica that is further behind delays no submission. */
const REPLICATED_MS = 1_000;

/** Where the server has replicas, waits until one of them has what was written: a failover does not lose what was accepted. */
async function untilReplicated(redis: Redis): Promise<void> {
  const replication = await readRedis(redis.info('replication'));
  if (!/^connected_slaves:0\b/m.test(replication)) await readRedis(redis.wait(1, REPLICATED_MS));
}

/**
 * The build that the same request began under a key of the same token, and its modules as `readBuildModules` takes them; null
 * when the key was not used before. @throws IdempotencyConflict when another request did, RedisUnavailable
 */
export async function findSubmission(
  redis: Redis,
  { submittedBy, idempotencyKey, digest }: Omit<BuildSubmission, 'buildId' | 'retentionMs' | 'modules'>,
): Promise<{ readonly buildId: string; readonly modules: string } | null> {
  if (idempotencyKey === null) return null;
  const used = await readRedis(redis.get(KEYS.idempotency(submittedBy ?? '', idempotencyKey)));
  if (used === null) return null;
  const [former, buildId = ''] = used.split(' ');
  if (former !== digest) throw keyTaken();
  // One that is not accepted yet is found when this one is sent.
  if ((await readRedis(redis.hexists(KEYS.build(buildId), 'state'))) === 0) return null;
  return { buildId, modules: await readStoredModules(redis, buildId) };
}

function keyTaken(): FarmError {
  return new FarmError('IdempotencyConflict', 'The token has used this Idempotency-Key for another request.');
}

/** Cancels a build. False when it had finished. @throws NotFound, RedisUnavailable */
export async function cancelBuild(redis: Redis, buildId: string): Promise<boolean> {
  const reply = await runScript(redis, 'cancel-build', [buildId, randomUUID()]);
  if (reply === 'unknown') throw new FarmError('NotFound', `Build "${buildId}" not found.`);
  await advance(redis);
  return reply === 'cancelled';
}
