import type { ModuleView, VmView } from '../../../common/contracts/builds.ts';

/** State of a connection to a console: `unloaded` when the viewer's own code did not come. */
export type ViewerState = 'opening' | 'open' | 'cut' | 'unloaded';

/** Whether a VM has a machine: `later` before its boot, `up` from then on, `gone` when its layer build has ended. */
export type MachineState = 'later' | 'up' | 'gone';

export function machineStateOf({ phases }: VmView): MachineState {
  const hasEnded = phases.some(({ state }) => ['failed', 'cancelled', 'skipped'].includes(state));
  if (hasEnded || phases.every(({ state }) => state === 'succeeded')) return 'gone';
  return phases.some(({ phase, startedAt }) => phase === 'boot-keystrokes' && startedAt !== null) ? 'up' : 'later';
}

/** Whether a machine has, or may have, serial output. */
export function hasSerial({ layerBuild }: ModuleView, { phases }: VmView): boolean {
  return (
    layerBuild !== null && phases.some(({ phase, startedAt }) => phase === 'boot-keystrokes' && startedAt !== null)
  );
}

/** Whether the farm shows the screen of a machine, or will as soon as there is one. */
export function isWatchable({ state, layerBuild }: ModuleView, vm: VmView): boolean {
  return layerBuild !== null && (state === 'queued' || state === 'running') && machineStateOf(vm) !== 'gone';
}

/** Whether a machine is left to people: a step of it waits for one, or it is that of a clone that is up. */
export function isLeftToPeople({ handbuild, phases }: VmView, isClone: boolean): boolean {
  const isUp = phases.some(({ phase, state }) => phase === 'boot-keystrokes' && state === 'succeeded');
  return handbuild !== null || (isClone && isUp);
}

/** Input for the notice beside a screen. */
export interface Watching {
  readonly machine: MachineState;
  readonly connection: ViewerState;
  /** Whether the machine is left to people. */
  readonly isWaiting: boolean;
  /** Whether the build belongs to this person, or they are an admin. */
  readonly mayAnswer: boolean;
}

/** Whether keys and the mouse go to the machine. */
export function isTyping({ machine, isWaiting, mayAnswer }: Omit<Watching, 'connection'>): boolean {
  return machine === 'up' && isWaiting && mayAnswer;
}

/** What there is to see, and why keys do not go to the machine. */
export function watchingWords(watching: Watching): string {
  const { machine, connection, mayAnswer } = watching;
  if (machine === 'gone') return 'The machine is gone: its layer build has ended.';
  if (connection === 'unloaded') return 'The viewer did not load. Load the page again.';
  if (connection === 'cut') return 'The connection to the screen was lost; reconnecting.';
  if (connection === 'opening') return 'Connecting…';
  if (machine === 'later') return 'The machine does not exist yet. Its screen is shown as soon as it starts.';
  if (isTyping(watching)) return 'Keyboard and mouse work. Click the screen to type; Shift+F12 leaves it.';
  if (!mayAnswer) return 'View only: the owner of the build and admins may type.';
  return 'View only: keyboard and mouse work while a step waits for a person.';
}
