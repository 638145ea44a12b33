import type { BuildState, ModuleView, PhaseView, VmView } from '../../../common/contracts/builds.ts';
import type { Phase } from '../../../common/contracts/phases.ts';

/** State of a module, a VM or a build, in one word. */
export type ModuleStage = Phase | BuildState | 'waiting' | 'waits for you' | 'reused' | 'skipped';

/**
 * How far a module is: whether one of its machines waits for a person, else the least advanced phase that runs, `waiting`
 * while nothing does, or how it has ended; `skipped` when that was not its own fault.
 */
export function moduleStage({ action, state, vms, failure }: ModuleView): ModuleStage {
  if (failure?.reason === 'ParentFailed') return 'skipped';
  if (state === 'succeeded') return action === 'reuse' ? 'reused' : state;
  if (state === 'failed' || state === 'cancelled') return state;
  if (vms.some(({ handbuild }) => handbuild !== null)) return 'waits for you';
  const running = vms.flatMap(({ phases }) => phases.map((phase, index) => ({ ...phase, index })).filter(isRunning));
  const [first] = running.toSorted((a, b) => a.index - b.index);
  return first?.phase ?? 'waiting';
}

/** How far a VM is, like its module. */
export function vmStage({ phases, handbuild }: VmView): ModuleStage {
  if (handbuild !== null) return 'waits for you';
  if (phases.every(({ state }) => state === 'skipped')) return 'skipped';
  const bad = phases.find(({ state }) => state === 'failed') ?? phases.find(({ state }) => state === 'cancelled');
  const running = phases.find(isRunning);
  if (running) return running.phase;
  if (bad?.state === 'failed' || bad?.state === 'cancelled') return bad.state;
  return phases.every(({ state }) => state === 'succeeded') ? 'succeeded' : 'waiting';
}

/** Share of the phases of a module that are done, 0 to 1. */
export function progressOf({ action, state, vms }: ModuleView): number {
  if (state === 'succeeded' || action === 'reuse') return 1;
  const phases = vms.flatMap((vm) => vm.phases);
  return phases.length === 0 ? 0 : phases.filter((phase) => phase.state === 'succeeded').length / phases.length;
}

function isRunning({ state }: PhaseView): boolean {
  return state === 'running';
}
