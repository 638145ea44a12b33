import type { HttpSource } from './http-source.ts';
import type { ImportErrorReason } from './import-error.ts';
import type { RegistrySource } from './registry-source.ts';

/** What is imported. */
export type ImportSource =
  | {
      readonly kind: 'http';
      readonly http: HttpSource;
      /** `algorithm:hex` with md5, sha1, sha256 or sha512. */
      readonly checksum?: string;
    }
  | { readonly kind: 'registry'; readonly registry: RegistrySource };

/** What the process of an import is told: one line of JSON. Its input is closed when its way out has been closed. */
export interface ImportPlan {
  readonly source: ImportSource;
  readonly capacityBytes: number;
  /** Neither what comes nor what is in it may have more. */
  readonly mostBytes: number;
}

/**
 * What it says, a line of JSON each: `opened` when the source answers with a file, `downloaded` when it needs no network any more,
 * `done` or `failed` last.
 */
export type ImportMessage =
  | { readonly event: 'opened' }
  | { readonly event: 'progress'; readonly share: number }
  | { readonly event: 'downloaded' }
  | { readonly event: 'failed'; readonly reason: ImportErrorReason; readonly message: string }
  | { readonly event: 'done' };
