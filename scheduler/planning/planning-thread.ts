import { workerData } from 'piscina';
import { z } from 'zod';
import { createFarmKey } from '../../common/config/sealing.ts';
import type { ErrorCode } from '../../common/errors/error-table.ts';
import { type ErrorDetails, FarmError } from '../../common/errors/farm-error.ts';
import { issueLines } from '../../common/text/issue-lines.ts';
import { acceptedBuild } from './accepted-build.ts';
import { planBuild, planModules } from './plan-modules.ts';
import type { BuildTask, PlanTask } from './plan-task.ts';
import { readModules, type SentModules } from './read-modules.ts';

/*
 * A thread of the scheduler for the work of a request that grows with its size. It has only the
 * farm key: no Redis, no network, no file.
 */

/** Answer of a thread: error classes do not survive the transfer between threads. */
export type Answer<T> =
  | { readonly value: T }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } };

/** What a thread is started with. */
export interface ThreadData {
  readonly farmKey: Uint8Array;
  readonly mostModules: number;
}

const { farmKey: farmSecret, mostModules } = workerData as ThreadData;
const farmKey = createFarmKey(Buffer.from(farmSecret));

export const read = answering((task: SentModules) => readModules(task, mostModules));
export const plan = answering((task: PlanTask) => planModules(task, farmKey));
export const build = answering((task: BuildTask) => planBuild(task, farmKey));
export const describeAccepted = answering(acceptedBuild);

function answering<Task, Result>(work: (task: Task) => Result): (task: Task) => Answer<Result> {
  return (task) => {
    try {
      return { value: work(task) };
    } catch (error) {
      const { code, message, details } = refusalOf(error);
      return { error: { code, message, details } };
    }
  };
}

function refusalOf(error: unknown): FarmError {
  if (error instanceof FarmError) return error;
  if (error instanceof z.ZodError) return new FarmError('InvalidRequest', issueLines(error).join('\n'));
  throw error;
}
