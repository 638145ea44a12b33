import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keptAnswerSchema } from '../contracts/events.ts';
import type { HandbuildEvent, LastPause, PauseState, PhaseClaim } from '../contracts/phase-store.ts';
import { cancelled, claimArguments, superseded } from './current-claim.ts';
import { keptAt, keptPlace, stepOf } from './handbuilds.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

const pauseReply = z.tuple([
  z.enum(['waiting', 'continued', 'over', 'superseded', 'cancelled']),
  z.number(),
  z.union([keptAnswerSchema, z.literal('')]),
]);

/** Records that a step waits for a person, and returns how far that is. */
export async function pause(
  redis: Redis,
  current: PhaseClaim,
  { event, limitMs }: { readonly event: HandbuildEvent; readonly limitMs: number | null },
): Promise<PauseState> {
  const { step, kept } = event;
  const place = kept ? keptPlace(step, kept) : step;
  const args = [...claimArguments(current), place, JSON.stringify(event), limitMs ?? '', kept ? 1 : ''];
  const [state, elapsedMs, answer] = pauseReply.parse(await runScript(redis, 'pause', args));
  if (state === 'superseded') throw superseded(current);
  if (state === 'cancelled') throw cancelled(current);
  return { state, elapsedMs, ...(answer === '' ? {} : { answer }) };
}

const pausedSchema = z.looseObject({ instructions: z.string() });

/** The step that waited last in this phase, and why; null when none did. */
export async function lastPause(redis: Redis, { job }: PhaseClaim): Promise<LastPause | null> {
  const steps = KEYS.layerBuildSteps(job.layerBuild);
  const fields = await readRedis(redis.hkeys(steps));
  const places = fields.flatMap((field) => {
    const [vm, place, event] = field.split('/');
    return vm === job.vm && event === 'handbuild-waiting' ? [Number(place)] : [];
  });
  const [last] = places.toSorted((a, b) => stepOf(b) - stepOf(a) || turnOf(b) - turnOf(a));
  if (last === undefined) return null;
  const step = stepOf(last);
  const kept = keptAt(last);
  if (!kept) return { step, kept };
  const mark = (await readRedis(redis.hget(steps, `${job.vm}/${last}/handbuild-waiting`))) ?? '';
  const { instructions } = pausedSchema.parse(JSON.parse(mark.slice(mark.indexOf(' ') + 1)));
  return { step, kept: { ...kept, message: instructions } };
}

/** A try waits before it begins, and then when it has failed. */
function turnOf(place: number): number {
  const kept = keptAt(place);
  return kept ? 2 * kept.attempt + Number(kept.why === 'failed') : 0;
}
