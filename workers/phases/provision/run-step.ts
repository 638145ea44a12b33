import { isSupported, type StepOf, type SupportedStepType } from '../../../common/contracts/module/step-types.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { runFileStep } from './file-step.ts';
import { runHandbuildStep } from './handbuild-step.ts';
import { runRebootStep } from './reboot-step.ts';
import { runShellStep, StepFailure } from './shell-step.ts';
import type { StepContext, StepOutcome } from './step-context.ts';

/** Runs one step, or finds that it was run, and reports its start and its end; the store drops duplicates. */
export async function runStep(context: StepContext): Promise<void> {
  const { phase, index, attempt, step, signal } = context;
  const { claim, store, clock, metrics } = phase;
  const { name, type } = step;
  const about = {
    module: claim.spec.module.name,
    vm: claim.job.vm,
    step: index,
    name,
    type,
    ...(attempt > 0 ? { attempt } : {}),
  };
  const emit = (event: Parameters<typeof store.emit>[1]) =>
    whileUnavailable({ clock, signal }, () => store.emit(claim, event));
  await emit({ event: 'step-started', ...about });
  const startedAt = clock.now();
  try {
    const { exitCode } = await dispatch(context);
    const durationMs = clock.now() - startedAt;
    metrics.stepDuration.observe({ type, outcome: 'succeeded' }, durationMs / 1000);
    await emit({ event: 'step-finished', ...about, outcome: 'succeeded', exitCode, durationMs });
  } catch (error) {
    if (error instanceof PhaseFailure) {
      const exitCode = error instanceof StepFailure ? error.exitCode : null;
      const durationMs = clock.now() - startedAt;
      metrics.stepDuration.observe({ type, outcome: 'failed' }, durationMs / 1000);
      await emit({ event: 'step-finished', ...about, outcome: 'failed', exitCode, durationMs });
    }
    throw error;
  }
}

const RUNNERS: { readonly [T in SupportedStepType]: (context: StepContext<StepOf<T>>) => Promise<StepOutcome> } = {
  shell: runShellStep,
  file: runFileStep,
  reboot: runRebootStep,
  handbuild: runHandbuildStep,
};

function dispatch(context: StepContext): Promise<StepOutcome> {
  const { type } = context.step;
  if (!isSupported(type)) throw new FarmError('NotYetSupported', `Steps of type "${type}" cannot be executed yet.`);
  const run = RUNNERS[type] as (context: StepContext) => Promise<StepOutcome>;
  return run(context);
}
