import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Clock } from '../clock/clock.ts';
import type { Logger } from '../logging/logger.ts';
import { runScript } from './scripts.ts';

const LEASE_MS = 12_000;
const RENEW_MS = 4_000;

/** A process that may have the session with a machine's console. */
export interface ConsoleHolder {
  /** Identity of the process, and of the layer build that it does there. */
  readonly owner: string;
  /** `http://…` under which other processes of the farm reach it. */
  readonly address: string;
  /** The higher one wins: 0 shows a console, a worker that types has the epoch of its claim. */
  readonly rank: number;
}

export interface ConsoleLeaseOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
}

const reply = z.tuple([z.string(), z.string()]);

/** Takes or renews the console of a machine, unless a holder with precedence has it; returns the present holder. @throws RedisUnavailable */
export async function takeConsole(
  redis: Redis,
  machine: string,
  { owner, address, rank }: ConsoleHolder,
): Promise<Pick<ConsoleHolder, 'owner' | 'address'>> {
  const [holder, where] = reply.parse(
    await runScript(redis, 'console-lease', [machine, owner, address, rank, LEASE_MS]),
  );
  return { owner: holder, address: where };
}

/** Releases a console, if it is held; if the request is lost, the lease expires. */
export async function releaseConsole(
  { redis, logger }: Pick<ConsoleLeaseOptions, 'redis' | 'logger'>,
  machine: string,
  { owner, address, rank }: ConsoleHolder,
): Promise<void> {
  await runScript(redis, 'console-lease', [machine, owner, address, rank, 0]).catch((error: unknown) => {
    logger.debug({ err: error, machine }, 'Releasing a console failed; its lease expires');
  });
}

/**
 * Renews the lease of a console until `signal` is aborted. Resolves earlier when it is lost: another process has it, or it
 * could not be renewed in time.
 */
export async function keepConsole(
  { redis, clock }: ConsoleLeaseOptions,
  { machine, holder }: { readonly machine: string; readonly holder: ConsoleHolder },
  signal: AbortSignal,
): Promise<void> {
  for (let heldUntil = clock.now() + LEASE_MS; clock.now() < heldUntil; ) {
    await clock.after(RENEW_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    const before = clock.now();
    const now = await takeConsole(redis, machine, holder).catch(() => undefined);
    if (now && now.owner !== holder.owner) return;
    if (now) heldUntil = before + LEASE_MS;
  }
}
