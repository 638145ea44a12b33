import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';

/** Role of the objects of an export, in their labels. */
export const EXPORT_ROLE = 'export';
/** A clone of a snapshot may be a copy of all its bytes. */
export const READY_MS = 30 * 60_000;
/** No export takes longer: what is older on a cluster was left by a scheduler that died. */
export const EXPORT_HOURS = 6;

/** A place where the raw bytes of a disk are read. */
export interface RawContent {
  /** For messages. */
  readonly place: string;
  /** A GET of all, or by `range` of the rest. */
  request(headers: OutgoingHttpHeaders, signal: AbortSignal): Promise<ClientRequest>;
}

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
  read(contents: readonly RawContent[]): Promise<T>;
}
