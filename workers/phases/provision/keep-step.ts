import { KEEP_MS, type Kept, type KeptAnswer } from '../../../common/contracts/events.ts';
import type { FailureReason } from '../../../common/contracts/failure-table.ts';
import type { LastPause } from '../../../common/contracts/phase-store.ts';
import { isMeantStep } from '../../../common/contracts/step-references.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { awaitPerson } from './await-person.ts';
import { runStep } from './run-step.ts';
import { type StepContext, stepLabel } from './step-context.ts';

/** Failures of a step in a guest that is there, so that a person can look. */
const LOOKED_AT: ReadonlySet<FailureReason> = new Set(['StepFailed', 'StepTimeout', 'GuestDiskFull', 'GuestRebooted']);

/**
 * Runs a step. Where its build pauses before it, a person first decides whether it runs. Where the build keeps the
 * machines of failed steps, a failure waits for a person, who retries it, skips it, or lets it fail. `kept`
 * is how it last waited under a former worker: a try that has failed is not run again, also when the person has restarted
 * the guest, which forgets the earlier run.
 * @throws PhaseFailure as the step
 */
export async function runStepOrKeep(context: StepContext, kept: LastPause['kept']): Promise<void> {
  let failure = kept?.why === 'failed' ? new PhaseFailure('StepFailed', kept.message) : null;
  if (!failure && isPausedBefore(context) && (await askBefore(context)) === 'skip') return;
  for (let attempt = kept?.attempt ?? 0; ; attempt += 1) {
    failure ??= await failureOf({ ...context, attempt });
    if (failure === null) return;
    const answer = await askPerson(context, { attempt, why: 'failed' }, failure.message);
    if (answer === 'skip') return;
    if (answer !== 'retry') throw failure;
    failure = null;
  }
}

function isPausedBefore({ phase: { claim }, scope: { vm }, index }: StepContext): boolean {
  return claim.pauseBefore.some((reference) => isMeantStep(reference, vm, index));
}

/** @throws PhaseFailure StepFailed when the step is not released in time, or a person gives the machine up */
async function askBefore(context: StepContext): Promise<KeptAnswer> {
  const instructions = 'The build pauses before this step.';
  const answer = await askPerson(context, { attempt: 0, why: 'before' }, instructions);
  if (answer !== undefined && answer !== 'release') return answer;
  const what = answer === undefined ? 'No person answered in time' : 'A person gave up the machine';
  throw new PhaseFailure('StepFailed', `${what}: the build had paused before ${stepLabel(context)}.`);
}

/** Runs a step once. Returns its failure, if a person may repair it; null: it succeeded. */
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

/** The decision of a person; undefined: there was none in time. */
async function askPerson(
  context: StepContext,
  { attempt, why }: Pick<Kept, 'attempt' | 'why'>,
  instructions: string,
): Promise<KeptAnswer | undefined> {
  const { phase, index, step } = context;
  const { claim, clock } = phase;
  const keepMs = claim.keepMs ?? KEEP_MS;
  const about = { module: claim.spec.module.name, vm: claim.job.vm, step: index, name: step.name, type: step.type };
  const kept = { why, attempt, until: clock.now() + keepMs };
  const event = { event: 'handbuild-waiting', ...about, instructions, kept } as const;
  return (await awaitPerson(context, event, keepMs)).answer;
}
