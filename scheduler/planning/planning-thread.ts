import { workerData } from 'piscina';
import { z } from 'zod';
import { createFarmKey } from '../../common/config/sealing.ts';
import type { ErrorCode } from '../../common/errors/error-table.ts';
import { type ErrorDetails, FarmError } from '../../common/errors/farm-error.ts';
import { type BuildTask, type PlanTask, planBuild, planModules, tellAccepted } from './plan-modules.ts';
import { readModules } from './read-modules.ts';

/*
 * What a thread of the scheduler does for its requests: everything that takes longer the more a request holds. It has the
 * farm's key and nothing else: no Redis, no network, no file.
 */

/** What a thread answers: classes of errors do not survive the way between threads. */
export type Answer<T> =
  | { readonly value: T }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails } };

const farmKey = createFarmKey(z.instanceof(Uint8Array).transform(Buffer.from).parse(workerData));

export const read = answering(readModules);
export const plan = answering((task: PlanTask) => planModules(task, farmKey));
export const build = answering((task: BuildTask) => planBuild(task, farmKey));
export const tell = answering(tellAccepted);

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
  if (error instanceof z.ZodError) return new FarmError('InvalidRequest', z.prettifyError(error));
  throw error;
}
