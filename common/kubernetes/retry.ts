import type { Clock } from '../clock/clock.ts';
import { FarmError } from '../errors/farm-error.ts';

/** How long and how often a call to a cluster is repeated. */
export interface RetryOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** In [0, 1). */
  readonly random: () => number;
  /** Calls in all; 1: never repeated. */
  readonly attempts: number;
}

/**
 * A webhook that has no pod for the moment refuses every write of its kinds: some 40 s while KubeVirt's virt-api is
 * replaced. The cluster has certainly stored nothing, so such requests are retried longer.
 */
const WEBHOOK_MS = 120_000;

const FIRST_MS = 200;
const LONGEST_MS = 10_000;

/** The pause after the n-th failure in a row (from 1): doubling, capped, with full jitter above half of it. */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round(ceiling * (0.5 + random() / 2));
}

/** Repeats a call while the cluster is unavailable; a longer `Retry-After` of the server is honoured. */
export async function withRetry<T>(call: () => Promise<T>, options: RetryOptions): Promise<T> {
  const giveUpAt = options.clock.now() + WEBHOOK_MS;
  for (let failures = 1; ; failures += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof FarmError && error.code === 'ClusterUnavailable')) throw error;
      const mayWait = options.attempts > 1 && isWebhookAway(error) && options.clock.now() < giveUpAt;
      if (failures >= options.attempts && !mayWait) throw error;
      const asked = Number(error.details['retryAfterMs'] ?? 0);
      await options.clock.after(Math.max(asked, backoffMs(failures, options.random)), options.signal);
    }
  }
}

/** In the API server's words, which are the same for every webhook. */
function isWebhookAway({ details, message }: FarmError): boolean {
  return details['status'] === 500 && /failed calling webhook "/.test(message);
}
