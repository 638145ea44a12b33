import type { MessagePort } from 'node:worker_threads';
import type { ApiError } from '../api/api-error.ts';
import type { ServerIdentity } from '../api/subresources/machine-access.ts';
import type { ExportedClaim } from './content-path.ts';

/** As whom the thread listens, and at which port: the first one that is free. */
export interface ThreadIdentity extends Pick<ServerIdentity, 'host' | 'key' | 'certificate'> {
  readonly ports: readonly number[];
}

/** May the holder of this token read this claim? */
export interface ExportQuestion extends ExportedClaim {
  readonly token: string;
}

/** A qcow2 file, whose headers have been checked. */
export interface ExportedDisk {
  readonly path: string;
  readonly sizeBytes: number;
}

/** What the thread reports. */
export type ThreadReport =
  /** It listens there. */
  | { readonly port: number }
  /** It waits for an answer at `reply`. */
  | { readonly question: ExportQuestion; readonly reply: MessagePort }
  /** It could not serve a request. */
  | { readonly failure: unknown; readonly path: string };

/** The answer of a question. Classes of errors do not survive the transfer between threads. */
export type ThreadAnswer =
  | { readonly disk: ExportedDisk }
  | { readonly refusal: Pick<ApiError, 'code' | 'reason' | 'message'> };
