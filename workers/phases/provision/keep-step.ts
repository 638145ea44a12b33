import type { FailureReason } from '../../../common/contracts/failure-table.ts';
import type { LastPause } from '../../../common/contracts/phase-store.ts';
import { PhaseFailure } from '../phase-executor.ts';
import { awaitPerson } from './await-person.ts';
import { runStep } from './run-step.ts';
import type { StepContext } from './step-context.ts';

/** Failures of a step in a guest that is there, so that a person can look. */
const LOOKED_AT: ReadonlySet<FailureReason> = new Set(['StepFailed', 'StepTimeout', 'GuestDiskFull', 'GuestRebooted']);

/**
 * Runs a step. Where its build keeps the machines of failed steps, a failure waits for a person, who has it run again, goes
 * on without it, or lets it fail. `kept` is the last try that has failed and was kept under a former worker: it is not run
 * again, also when the person has restarted the guest, which forgets what was run in it.
 * @throws PhaseFailure as the step
 */
export async function runStepOrKeep(context: StepContext, kept: LastPause['kept']): Promise<void> {
  let failure = kept && new PhaseFailure('StepFailed', kept.message);
  for (let attempt = kept?.attempt ?? 0; ; attempt += 1) {
    failure ??= await failureOf({ ...context, attempt });
    if (failure === null) return;
    const answer = await askPerson(context, attempt, failure);
    if (answer === 'skip') return;
    if (answer !== 'retry') throw failure;
    failure = null;
  }
}

/** Runs a try of a step. What it failed with, if a person may mend that; null: it succeeded. */
async function failureOf(context: StepContext): Promise<PhaseFailure | null> {
  try {
    await runStep(context);
    return null;
  } catch (error) {
    const isKept = context.phase.claim.keepMs !== null;
    if (isKept && error instanceof PhaseFailure && LOOKED_AT.has(error.failure.reason)) return error;
    throw error;
  }
}

async function askPerson(context: StepContext, attempt: number, { message }: PhaseFailure) {
  const { phase, index, step } = context;
  const { claim, clock } = phase;
  const keepMs = claim.keepMs ?? 0;
  const about = { module: claim.spec.module.name, vm: claim.job.vm, step: index, name: step.name, type: step.type };
  const kept = { attempt, until: clock.now() + keepMs };
  const event = { event: 'handbuild-waiting', ...about, instructions: message, kept } as const;
  return (await awaitPerson(context, event, keepMs)).answer;
}
