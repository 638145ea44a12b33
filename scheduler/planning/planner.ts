import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { packagePath } from '../../common/config/package-root.ts';
import { USUAL_MODULES } from '../../common/contracts/module/yaml-limits.ts';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { AcceptedBuild, BuildTask, JsonBytes, PlannedBuild, PlanTask, SubmittedTask } from './plan-task.ts';
import type { Answer, ThreadData } from './planning-thread.ts';
import type { ReadModules, SentModules } from './read-modules.ts';

/** Request and result of a thread. */
interface Work {
  readonly read: { readonly task: SentModules; readonly result: ReadModules };
  readonly plan: { readonly task: PlanTask; readonly result: JsonBytes };
  readonly build: { readonly task: BuildTask; readonly result: PlannedBuild };
  readonly describeAccepted: { readonly task: SubmittedTask; readonly result: AcceptedBuild };
}

export interface PlannerOptions {
  /** The farm's key, as `createFarmKey` takes it. */
  readonly farmKey: Uint8Array;
  /** Most modules of one request. @defaultValue `USUAL_MODULES` */
  readonly mostModules?: number;
  /** How long a thread may work on one piece. @defaultValue in proportion to `mostModules` */
  readonly deadlineMs?: number;
  /** Of one thread. @defaultValue in proportion to `mostModules` */
  readonly heapMb?: number;
}

/** Tasks that may wait for a thread. */
const MAX_WAITING = 64;
const TOO_MANY_WAIT = `${MAX_WAITING} requests wait to be planned already, which is the limit of a scheduler.`;
const THREADS = Math.max(1, Math.min(4, availableParallelism() - 1));
/** For the usual number of modules, or fewer. */
const DEADLINE_MS = 30_000;
/** For the usual number of modules, or fewer: those within the limits use half of it. */
const HEAP_MB = 1_024;
/** Threads beyond the first end after this long without work. */
const IDLE_MS = 30_000;

/**
 * Reads and plans modules in threads beside the scheduler's own, so that no request keeps it from its probes, leases and
 * dispatches. A thread runs one task at a time: a task that takes too long, or too much memory, affects no other.
 */
export class Planner {
  readonly #pool: Piscina;
  readonly #deadlineMs: number;
  #free = THREADS;
  readonly #waiting: (() => void)[] = [];

  constructor({ farmKey, mostModules = USUAL_MODULES, deadlineMs, heapMb }: PlannerOptions) {
    const size = Math.max(1, mostModules / USUAL_MODULES);
    this.#deadlineMs = deadlineMs ?? DEADLINE_MS * size;
    this.#pool = new Piscina({
      filename: packagePath('dist', 'scheduler', 'planning', 'planning-thread.js'),
      workerData: { farmKey, mostModules } satisfies ThreadData,
      minThreads: 1,
      maxThreads: THREADS,
      idleTimeout: IDLE_MS,
      resourceLimits: { maxOldGenerationSizeMb: heapMb ?? Math.ceil(HEAP_MB * size) },
    });
  }

  /** @throws as the function of that name in `planning-thread.ts`, and TooManyRequests, PlanningTimeout, RequestTooLarge */
  async run<Name extends keyof Work>(name: Name, task: Work[Name]['task']): Promise<Work[Name]['result']> {
    await this.#turn();
    const signal = AbortSignal.timeout(this.#deadlineMs);
    try {
      const answer: Answer<Work[Name]['result']> = await this.#pool.run(task, { name, signal });
      if ('value' in answer) return answer.value;
      const { code, message, details } = answer.error;
      throw new FarmError(code, message, { details });
    } catch (error) {
      if (error instanceof FarmError) throw error;
      throw signal.aborted ? this.#tooSlow() : failureOf(error);
    } finally {
      this.#endTurn();
    }
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  /** Resolves when a thread is free: deadlines are for those that work. @throws TooManyRequests */
  async #turn(): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#waiting.length < MAX_WAITING) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else throw new FarmError('TooManyRequests', TOO_MANY_WAIT);
  }

  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }

  #tooSlow(): FarmError {
    const message = `The modules were not read and planned within ${this.#deadlineMs / 1000} s.`;
    return new FarmError('PlanningTimeout', message);
  }
}

function failureOf(error: unknown): unknown {
  if (!hasErrorCode(error, 'ERR_WORKER_OUT_OF_MEMORY')) return error;
  const message = 'Reading and planning the modules exceeds the memory limit of one request.';
  const solve = 'Send the modules in several requests.';
  return new FarmError('RequestTooLarge', message, { cause: error, details: { solve } });
}
