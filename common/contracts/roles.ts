import { PHASES, type Phase } from './phases.ts';

/** A process with rights of its own on clusters: the scheduler, or the workers of a phase. */
export type ClusterRole = 'scheduler' | Phase;

/** In the order in which people read them. */
export const CLUSTER_ROLES: readonly ClusterRole[] = ['scheduler', ...PHASES];
