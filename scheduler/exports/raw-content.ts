import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';

/** A place where the bytes of a disk are read. */
export interface RawContent {
  /** For messages. */
  readonly place: string;
  /** A GET of all, or by `range` of the rest. */
  request(headers: OutgoingHttpHeaders, signal: AbortSignal): Promise<ClientRequest>;
}
