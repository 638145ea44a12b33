import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Clock } from '../clock/clock.ts';
import { anySignal } from '../lifecycle/any-signal.ts';
import type { Logger } from '../logging/logger.ts';
import { runScript } from './scripts.ts';

/** So long after its holder was killed another process has the lease. */
const LEASE_MS = 4_000;
const RENEW_MS = 1_200;
const waitSchema = z.int().min(0);

/** A right that one process of the farm has at a time. */
export interface LeaseOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: string;
  /** Identity of the process. */
  readonly owner: string;
}

/**
 * Competes for a lease until `signal` is aborted. Whenever it is won, `hold` runs with a signal that is aborted when it is
 * lost or the process stops; a `hold` that ends or fails releases the lease, and the competition continues.
 */
export async function holdLease(
  options: LeaseOptions,
  hold: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger, name } = options;
  while (!signal.aborted) {
    const waitMs = await take(options, LEASE_MS).catch(() => RENEW_MS);
    if (waitMs === 0) {
      const term = new AbortController();
      const renewing = renew(options, anySignal(term.signal, signal)).finally(() => term.abort());
      try {
        await hold(anySignal(term.signal, signal));
      } catch (error) {
        if (!signal.aborted && !term.signal.aborted)
          logger.warn({ err: error, lease: name }, 'The holder of a lease failed');
      }
      term.abort();
      await renewing;
      await take(options, 0).catch(() => {});
    }
    // A process that has released it leaves it to another one.
    await clock.after(waitMs || RENEW_MS, signal).catch(() => undefined);
  }
}

/** Renews until it is aborted or the lease is lost; a lease that cannot be renewed in time counts as lost. */
async function renew(options: LeaseOptions, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  let heldUntil = clock.now() + LEASE_MS;
  while (!signal.aborted && clock.now() < heldUntil) {
    await clock.after(RENEW_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    const before = clock.now();
    const waitMs = await take(options, LEASE_MS).catch(() => undefined);
    if (waitMs === 0) heldUntil = before + LEASE_MS;
    else if (waitMs !== undefined) return;
  }
}

/** 0: it is held now; else ms after which to ask again. */
async function take({ redis, name, owner }: LeaseOptions, ms: number): Promise<number> {
  return waitSchema.parse(await runScript(redis, 'lease', [name, owner, ms]));
}
