import type { Step } from '../../../common/contracts/module/step-types.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { type Evidence, PhaseFailure } from '../../context/phase-failure.ts';
import type { GuestAccess } from '../../guest/guest-access.ts';

/** One step of a VM on its way. */
export interface StepContext<S extends Step = Step> {
  readonly phase: PhaseContext;
  readonly scope: BuildScope;
  readonly access: GuestAccess;
  /** Aborted when the phase is, or when the machine ends. */
  readonly signal: AbortSignal;
  /** Name of the VM's states in the guest. */
  readonly build: string;
  readonly index: number;
  /** How often the step was run before, because a person asked for it. */
  readonly attempt: number;
  readonly step: S;
}

/** Retries of a step that are distinguished in the guest; people request only a few. */
const TRIED_AGAIN = 1_000_000;

/** Under which number the guest keeps how this try of the step stands. */
export function guestIndex({ index, attempt }: Pick<StepContext, 'index' | 'attempt'>): number {
  return index + TRIED_AGAIN * attempt;
}

/** How a finished step went. */
export interface StepOutcome {
  readonly exitCode: number | null;
}

/** Resolves when the step may continue to change the guest; with Redis away, when it is back. @throws Superseded, Cancelled */
export function fence({ phase, signal }: StepContext): Promise<void> {
  const { store, claim, clock } = phase;
  return whileUnavailable({ clock, signal }, () => store.assertCurrent(claim));
}

/** `Step 2 "settle"`, for sentences; people count from 1. */
export function stepLabel({ index, step }: Pick<StepContext, 'index' | 'step'>): string {
  return step.name === null ? `Step ${index + 1}` : `Step ${index + 1} "${step.name}"`;
}

/** The failure of a step whose time is over. */
export function stepTimeout(context: StepContext, timeoutMs: number, evidence: Evidence = {}): PhaseFailure {
  const message = `${stepLabel(context)} did not end within ${Math.round(timeoutMs / 1000)} s.`;
  return new PhaseFailure('StepTimeout', message, { evidence });
}
