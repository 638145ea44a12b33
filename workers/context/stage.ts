import type { FailureReason } from '../../common/contracts/failures.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { isRefusal } from '../../common/kubernetes/api-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { type EventSubject, eventsOf, podLog } from '../../common/kubernetes/diagnostics.ts';
import { evidenceOfMachine } from './machine-evidence.ts';
import { PhaseFailure } from './phase-failure.ts';

/** A stage of a phase: its failure when the deadline passes, and the objects whose Events explain it. */
export interface Stage {
  readonly reason: FailureReason;
  readonly subjects?: readonly EventSubject[];
  /** The machine that it is about: its conditions, and its Events wherever KubeVirt leaves them, explain it. */
  readonly machine?: string;
  /** The pod whose log explains it. */
  readonly pod?: string;
}

/**
 * Runs a stage. Its passed deadline becomes the module's failure with the last warning Events of the objects concerned;
 * an object that the cluster refuses becomes `ClusterRefused` with the cluster's words. Other errors stay as they are.
 */
export async function runStage<T>(cluster: ClusterClient, stage: Stage, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isRefusal(error)) throw new PhaseFailure('ClusterRefused', error.message, { cause: error });
    if (!(error instanceof FarmError) || error.code !== 'DeadlineExceeded') throw error;
    const { subjects = [], machine } = stage;
    const events =
      machine === undefined ? await lastEvents(cluster, subjects) : await machineEvidence(cluster, machine);
    const logTail = stage.pod === undefined ? [] : await lastLines(cluster, stage.pod);
    const evidence = { events, logTail };
    throw new PhaseFailure(stage.reason, errorMessage(error), { cause: error, evidence });
  }
}

/** The last warnings, or none when they cannot be read: evidence must not hide the failure itself. */
export async function lastEvents(cluster: ClusterClient, subjects: readonly EventSubject[]): Promise<string[]> {
  try {
    return await eventsOf(cluster, subjects);
  } catch {
    return [];
  }
}

/** Evidence of the state of a machine, or undefined when it cannot be read. */
export async function machineEvidence(cluster: ClusterClient, machine: string): Promise<string[]> {
  try {
    return await evidenceOfMachine(cluster, machine);
  } catch {
    return [];
  }
}

async function lastLines(cluster: ClusterClient, pod: string): Promise<string[]> {
  try {
    return await podLog(cluster, pod, { tailLines: 20 });
  } catch {
    return [];
  }
}
