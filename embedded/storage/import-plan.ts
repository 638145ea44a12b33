import type { HttpSource } from './http-source.ts';
import type { ImportErrorReason } from './import-error.ts';
import type { RegistrySource } from './registry-source.ts';

/** Source of an import. */
export type ImportSource =
  | {
      readonly kind: 'http';
      readonly http: HttpSource;
      /** `algorithm:hex` with md5, sha1, sha256 or sha512. */
      readonly checksum?: string;
    }
  | { readonly kind: 'registry'; readonly registry: RegistrySource };

/** Input of an import process: one line of JSON. The input is closed when its door has been closed. */
export interface ImportPlan {
  readonly source: ImportSource;
  readonly capacityBytes: number;
  /** Limit for the download and for its content. */
  readonly mostBytes: number;
}

/**
 * Its messages, a line of JSON each: `opened` when the source answers with a file, `downloaded` when it needs no network any more,
 * `done` or `failed` last.
 */
export type ImportMessage =
  | { readonly event: 'opened' }
  | { readonly event: 'progress'; readonly share: number }
  | { readonly event: 'downloaded' }
  | { readonly event: 'failed'; readonly reason: ImportErrorReason; readonly message: string }
  | { readonly event: 'done' };
