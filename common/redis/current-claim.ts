import type { Redis } from 'ioredis';
import type { PhaseClaim } from '../contracts/phase-store.ts';
import { FarmError } from '../errors/farm-error.ts';
import { runScript } from './scripts.ts';

/** @throws Superseded, Cancelled when the claim no longer holds */
export async function assertCurrent(redis: Redis, current: PhaseClaim): Promise<void> {
  const reply = await runScript(redis, 'check', claimArguments(current));
  if (reply === 'cancelled') throw cancelled(current);
  if (reply !== 'current') throw superseded(current);
}

/** The first arguments of every script that acts for a claim. */
export function claimArguments({ job, fence }: PhaseClaim): (string | number)[] {
  return [job.layerBuild, job.generation, job.vm, job.phase, fence];
}

export function superseded({ job }: PhaseClaim): FarmError {
  return new FarmError('Superseded', `Another worker has taken over ${job.phase} of VM "${job.vm}", or it has ended.`);
}

export function cancelled({ job }: PhaseClaim): FarmError {
  return new FarmError('Cancelled', `No build needs ${job.phase} of VM "${job.vm}" any more.`);
}
