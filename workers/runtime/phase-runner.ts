import { randomUUID } from 'node:crypto';
import type { Clock } from '../../common/clock/clock.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import { type JobReference, jobId } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { whileUnavailable } from '../../common/lifecycle/while-unavailable.ts';
import { type Logger, maskedLogger } from '../../common/logging/logger.ts';
import type { Mask } from '../../common/logging/mask.ts';
import { maskedResult, maskedStore, openSecrets } from '../context/claimed-secrets.ts';
import type { PhaseContext, PhaseExecutor } from '../context/phase-context.ts';
import { Draining } from './drain.ts';
import { resultOf } from './outcome.ts';

/** The part of an executor's context that the runner fills in. */
type OwnFields = 'claim' | 'secrets' | 'store' | 'logger' | 'clock' | 'signal' | 'unwanted';

export interface PhaseRunnerOptions {
  readonly executor: PhaseExecutor;
  readonly store: PhaseStore;
  /** Name of this worker in the farm's state. */
  readonly worker: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The rest of the context. @throws FarmError when the worker does not know the claim's cluster. */
  readonly contextOf: (claim: PhaseClaim) => Omit<PhaseContext, OwnFields>;
}

/**
 * Runs phase jobs of any queue: claims, executes, commits. A job lives on when its delivery is given up (a
 * lock was lost, Redis is away), and the next delivery of the same job joins it.
 */
export class PhaseRunner {
  readonly #options: PhaseRunnerOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #drain = new AbortController();

  constructor(options: PhaseRunnerOptions) {
    this.#options = options;
  }

  /** Jobs that are being worked on. */
  get active(): number {
    return this.#running.size;
  }

  /**
   * Resolves when the job's outcome is recorded, or the job turned out not to be ours. Rejects with the reason of
   * `delivery` when that is given up; the job continues.
   */
  async deliver(job: JobReference, delivery: AbortSignal): Promise<void> {
    const id = jobId(job);
    let run = this.#running.get(id);
    if (!run) {
      run = this.#run(job).finally(() => this.#running.delete(id));
      this.#running.set(id, run);
    }
    const settled = new AbortController();
    const givenUp = new Promise<never>((_, reject) => {
      delivery.addEventListener('abort', () => reject(delivery.reason), { signal: settled.signal });
    });
    try {
      delivery.throwIfAborted();
      await Promise.race([run, givenUp]);
    } finally {
      settled.abort();
      run.catch(() => {});
    }
  }

  /** Asks every executor to leave its phase as it is, and waits until all is recorded, `withinMs` at most. */
  async drain(withinMs: number): Promise<void> {
    this.#drain.abort(new Draining());
    const settled = Promise.allSettled(this.#running.values());
    await Promise.race([settled, this.#options.clock.after(withinMs)]);
  }

  async #run(job: JobReference): Promise<void> {
    const { store, worker, clock } = this.#options;
    const logger = this.#options.logger.child({ ...job });
    const fence = randomUUID();
    const claim = await whileUnavailable({ clock, signal: this.#drain.signal }, () => store.claim(job, worker, fence));
    if (!claim) {
      logger.debug('The job is no longer current');
      return;
    }
    const ended = new AbortController();
    try {
      const result = await this.#execute(claim, { logger, ended: ended.signal });
      if (!result) return;
      // The outcome of hours must not be lost because Redis is away.
      await whileUnavailable({ clock }, () => store.commit(claim, result));
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === 'cancelled')) throw error;
      logger.info({ code: error.code }, 'The outcome is no longer needed');
    } finally {
      ended.abort();
    }
  }

  async #execute(
    claim: PhaseClaim,
    { logger, ended }: { readonly logger: Logger; readonly ended: AbortSignal },
  ): Promise<PhaseResult | null> {
    const { executor, store, clock, contextOf } = this.#options;
    let signal = this.#drain.signal;
    let mask: Mask = (text) => text;
    try {
      const unwanted = await whileUnavailable({ clock, signal }, () => store.watch(claim, ended));
      signal = anySignal(this.#drain.signal, unwanted);
      signal.throwIfAborted();
      const given = contextOf(claim);
      const secrets = openSecrets(claim, given.farmKey);
      mask = secrets.mask;
      const masked = { store: maskedStore(store, mask), logger: maskedLogger(logger, mask) };
      const own = { ...masked, claim, secrets, clock, signal, unwanted };
      return maskedResult(await executor.execute({ ...given, ...own }), mask);
    } catch (error) {
      // An aborted wait may throw any error; the reason of the abort determines the outcome.
      const cause = signal.aborted && !isFailure(error) ? signal.reason : error;
      const result = resultOf(cause);
      if (result?.outcome === 'failed') maskedLogger(logger, mask).warn({ err: cause }, 'The phase failed');
      return result && maskedResult(result, mask);
    }
  }
}

function isFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'PhaseFailure';
}
