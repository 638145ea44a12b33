import { hash } from 'node:crypto';

/** How identities made from a validator begin. */
export const VALIDATOR_PREFIX = 'validator:';

/** How identities of container images begin; the digest follows. */
export const IMAGE_PREFIX = 'image:';

/** Validators that a server returns for the present content of a URL. */
export interface SourceValidator {
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly lengthBytes: number | null;
}

/**
 * Content key of a URL without a checksum: planned once, and computed again at import to notice that the content has
 * changed since. Null when the server returns no validator that changes with the content (a length alone does not).
 */
export function validatorIdentity(url: string, { etag, lastModified, lengthBytes }: SourceValidator): string | null {
  if (etag === null && lastModified === null) return null;
  const text = JSON.stringify([url, etag, lastModified, lengthBytes]);
  return `${VALIDATOR_PREFIX}${hash('sha256', text)}`;
}

/** Reads the validator off the headers of an answer to HEAD or to a ranged GET. */
export function readValidator(headers: { get(name: string): string | null }): SourceValidator {
  const total = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1] ?? headers.get('content-length');
  return {
    etag: headers.get('etag'),
    lastModified: headers.get('last-modified'),
    lengthBytes: total === null ? null : Number(total),
  };
}
