import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { packagePath } from '../../common/config/package-root.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { AcceptedBuild, BuildTask, JsonBytes, PlannedBuild, PlanTask, SubmittedTask } from './plan-modules.ts';
import type { Answer } from './planning-thread.ts';
import type { ReadModules, SentModules } from './read-modules.ts';

/** What a thread is sent to do, and what comes back. */
interface Work {
  readonly read: { readonly task: SentModules; readonly result: ReadModules };
  readonly plan: { readonly task: PlanTask; readonly result: JsonBytes };
  readonly build: { readonly task: BuildTask; readonly result: PlannedBuild };
  readonly tell: { readonly task: SubmittedTask; readonly result: AcceptedBuild };
}

export interface PlannerOptions {
  /** The farm's key, as `createFarmKey` takes it. */
  readonly farmKey: Uint8Array;
  /** How long one piece of work may take, waiting for a thread included. */
  readonly deadlineMs?: number;
  /** Of one thread. */
  readonly heapMb?: number;
}

/** Pieces of work that may wait for a thread. */
const MAX_WAITING = 64;
const MAX_THREADS = 4;
const DEADLINE_MS = 30_000;
/** What is within the limits of a request takes a third of it. */
const HEAP_MB = 1_024;
/** Threads beyond the first end after this long without work. */
const IDLE_MS = 30_000;
/** Whoever waits for the scheduler itself goes first. */
const NICE = 5;

/**
 * Reads and plans modules in threads beside the scheduler's own, so that no request keeps it from its probes, leases and
 * dispatches. One piece of work at a time to a thread: what takes too long, or too much memory, costs only itself.
 */
export class Planner {
  readonly #pool: Piscina;
  readonly #deadlineMs: number;

  constructor({ farmKey, deadlineMs = DEADLINE_MS, heapMb = HEAP_MB }: PlannerOptions) {
    this.#deadlineMs = deadlineMs;
    this.#pool = new Piscina({
      filename: packagePath('dist', 'scheduler', 'planning', 'planning-thread.js'),
      workerData: farmKey,
      minThreads: 1,
      maxThreads: Math.max(1, Math.min(MAX_THREADS, availableParallelism() - 1)),
      maxQueue: MAX_WAITING,
      idleTimeout: IDLE_MS,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
      niceIncrement: NICE,
    });
  }

  /** @throws as the function of that name in `planning-thread.ts`, and TooManyRequests, PlanningTimeout, RequestTooLarge */
  async run<Name extends keyof Work>(name: Name, task: Work[Name]['task']): Promise<Work[Name]['result']> {
    const signal = AbortSignal.timeout(this.#deadlineMs);
    let answer: Answer<Work[Name]['result']>;
    try {
      answer = await this.#pool.run(task, { name, signal });
    } catch (error) {
      throw signal.aborted ? this.#tooSlow() : failureOf(error);
    }
    if ('value' in answer) return answer.value;
    const { code, message, details } = answer.error;
    throw new FarmError(code, message, { details });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #tooSlow(): FarmError {
    const message = `The modules were not read and planned within ${this.#deadlineMs / 1000} s.`;
    return new FarmError('PlanningTimeout', message);
  }
}

function failureOf(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const solve = 'Send the modules in several requests.';
    return new FarmError(
      'RequestTooLarge',
      'The modules take more memory to read and plan than one request may have.',
      {
        cause: error,
        details: { solve },
      },
    );
  }
  if (!/queue is at limit/i.test(errorMessage(error))) return error;
  return new FarmError('TooManyRequests', `${MAX_WAITING} requests wait to be planned already.`, { cause: error });
}
