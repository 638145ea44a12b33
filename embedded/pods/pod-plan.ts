import { join } from 'node:path';

/** Process of a pod. */
export interface PodPlan {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Working directory. */
  readonly directory: string;
}

/** The files of a pod below its directory. */
export interface PodFiles {
  readonly plan: string;
  readonly log: string;
  readonly socket: string;
  /** Written when the command has ended. */
  readonly exit: string;
}

export function podFiles(directory: string): PodFiles {
  return {
    plan: join(directory, 'plan.json'),
    log: join(directory, 'log'),
    socket: join(directory, 'pod.sock'),
    exit: join(directory, 'exit.json'),
  };
}
