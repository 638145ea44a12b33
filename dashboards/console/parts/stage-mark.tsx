import { PHASES, type Phase } from '../../../common/contracts/phases.ts';
import type { ModuleStage } from '../state/module-stage.ts';

interface Look {
  /** Class of the colour. */
  readonly tone: 'good' | 'bad' | 'busy' | 'person' | 'idle' | 'reused' | 'cancelled';
  /** A drawing on 16 by 16, so that colour is never the only sign. */
  readonly path: string;
}

const BUSY: Look = { tone: 'busy', path: 'M8 2.5A5.5 5.5 0 1 1 2.5 8' };
const WAITING: Look = { tone: 'idle', path: 'M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3.2l2.2 1.3' };
/** Every phase looks busy: the word beside the icon names it. */
const PHASE_LOOKS = Object.fromEntries(PHASES.map((phase) => [phase, BUSY])) as Readonly<Record<Phase, Look>>;
const LOOKS: Readonly<Record<ModuleStage, Look>> = {
  ...PHASE_LOOKS,
  waiting: WAITING,
  queued: WAITING,
  running: BUSY,
  'waits for you': { tone: 'person', path: 'M8 2.8a2.5 2.5 0 1 0 .01 0M3 13.6a5 4.4 0 0 1 10 0' },
  succeeded: { tone: 'good', path: 'M3 8.6l3.3 3.3L13 5' },
  reused: { tone: 'reused', path: 'M3 7a5 5 0 0 1 9.2-1.6M13 2.5v3.2H9.8M13 9a5 5 0 0 1-9.2 1.6M3 13.5v-3.2h3.2' },
  failed: { tone: 'bad', path: 'M4 4l8 8M12 4l-8 8' },
  skipped: { tone: 'idle', path: 'M3 4.5L7 8l-4 3.5M8.5 4.5l4 3.5-4 3.5' },
  cancelled: { tone: 'cancelled', path: 'M8 2.5a5.5 5.5 0 1 0 .01 0M4.2 4.2l7.6 7.6' },
};

export function toneOf(stage: ModuleStage): string {
  return LOOKS[stage].tone;
}

/** The icon of a stage; print the word beside it, or give it as title. */
export function StageIcon({ stage }: { readonly stage: ModuleStage }) {
  const { tone, path } = LOOKS[stage];
  return (
    <svg class={`icon tone-${tone}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

/** A stage as sign and word. */
export function StageMark({ stage }: { readonly stage: ModuleStage }) {
  return (
    <span class={`mark tone-${toneOf(stage)}`}>
      <StageIcon stage={stage} /> {stage}
    </span>
  );
}
