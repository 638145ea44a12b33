import type { Phase } from './phases.ts';

/** A process with rights of its own on clusters: the scheduler, or the workers of a phase. */
export type Role = 'scheduler' | Phase;
