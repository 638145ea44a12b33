import type { HandbuildStep } from '../../../common/contracts/module/steps/handbuild.ts';
import { awaitPerson } from './await-person.ts';
import { type StepContext, type StepOutcome, stepTimeout } from './step-context.ts';

/** Waits until a person continues the step. @throws PhaseFailure StepTimeout, counted from when it began to wait, or GuestNeverAnswered */
export async function runHandbuildStep(context: StepContext<HandbuildStep>): Promise<StepOutcome> {
  const { phase, index, step } = context;
  const { claim } = phase;
  const { name, type, instructions, timeoutMs } = step;
  const about = { module: claim.spec.module.name, vm: claim.job.vm, step: index, name, type, instructions };
  const { state } = await awaitPerson(context, { event: 'handbuild-waiting', ...about }, timeoutMs);
  if (state === 'over') throw stepTimeout(context, timeoutMs ?? 0);
  return { exitCode: null };
}
