import type { ClusterConfig } from '../../common/config/schema.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';

/** Role of the objects of an export, in their labels. */
export const EXPORT_ROLE = 'export';
/** A clone of a snapshot may be a copy of all its bytes. */
export const READY_MS = 30 * 60_000;
/** No export takes longer: what is older on a cluster was left by a scheduler that died. */
export const EXPORT_HOURS = 6;

/** A place where a disk is read, as it is handed to a thread: what a cluster links to, or a pod of the farm. */
export type DiskPlace =
  | {
      readonly url: string;
      /** What is to be trusted there (PEM); empty: what the system trusts. */
      readonly cert: string;
      readonly token: string;
    }
  | { readonly pod: string; readonly cluster: ClusterConfig };

/** Source of exported disks. */
export interface ExportCluster {
  readonly client: ClusterClient;
  readonly config: ClusterConfig;
  /** Name of the farm. */
  readonly farm: string;
}

/** What is read, by whom, and until when. */
export interface DiskReading<T> {
  readonly snapshot: string;
  readonly signal: AbortSignal;
  read(places: readonly DiskPlace[]): Promise<T>;
}
