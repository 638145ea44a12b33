import type { Redis } from 'ioredis';
import type { Clock } from '../clock/clock.ts';
import type { Logger } from '../logging/logger.ts';
import { runScript } from './scripts.ts';

const LEASE_MS = 12_000;
const RENEW_MS = 4_000;

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
 * lost or the process stops; a `hold` that ends or fails gives the lease back, and the competition goes on.
 */
export async function holdLease(
  options: LeaseOptions,
  hold: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { redis, clock, logger, name, owner } = options;
  const take = (ms: number) => runScript(redis, 'lease', [name, owner, ms]);
  while (!signal.aborted) {
    const won = await take(LEASE_MS).catch(() => 0);
    if (won === 1) {
      const term = new AbortController();
      const renewing = renew(options, AbortSignal.any([term.signal, signal])).finally(() => term.abort());
      try {
        await hold(AbortSignal.any([term.signal, signal]));
      } catch (error) {
        if (!signal.aborted && !term.signal.aborted)
          logger.warn({ err: error, lease: name }, 'The holder of a lease failed');
      }
      term.abort();
      await renewing;
      await take(0).catch(() => 0);
    }
    await clock.after(RENEW_MS, signal).catch(() => undefined);
  }
}

/** Renews until it is aborted or the lease is lost; a lease that cannot be renewed in time counts as lost. */
async function renew({ redis, clock, name, owner }: LeaseOptions, signal: AbortSignal): Promise<void> {
  let heldUntil = clock.now() + LEASE_MS;
  while (!signal.aborted && clock.now() < heldUntil) {
    await clock.after(RENEW_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    const before = clock.now();
    const held = await runScript(redis, 'lease', [name, owner, LEASE_MS]).catch(() => undefined);
    if (held === 0) return;
    if (held === 1) heldUntil = before + LEASE_MS;
  }
}
