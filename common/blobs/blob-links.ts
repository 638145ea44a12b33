import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock/clock.ts';
import type { FarmKey } from '../config/sealing.ts';

/** Where schedulers serve contents to holders of a link. */
export const BLOB_LINKS = '/internal/blobs';
/** An importer may ask again for as long as its module is built; builds seldom last longer. */
const VALID_MS = 24 * 3_600_000;

/** What both ends of a link know. */
export interface BlobLinkOptions {
  readonly farmKey: Pick<FarmKey, 'fingerprint'>;
  readonly clock: Clock;
}

/** A URL that allows its holder to read this one content, for a while; `base` is the address of the schedulers. */
export function blobLink({ farmKey, clock }: BlobLinkOptions, base: string, sha256: string): string {
  const expires = clock.now() + VALID_MS;
  const url = new URL(`${base.replace(/\/+$/, '')}${BLOB_LINKS}/${sha256}`);
  url.searchParams.set('expires', String(expires));
  url.searchParams.set('signature', sign(farmKey, sha256, expires));
  return url.href;
}

/** Whether a link was made by this farm for this content, and still holds. */
export function isBlobLink(
  { farmKey, clock }: BlobLinkOptions,
  { sha256, expires, signature }: { readonly sha256: string; readonly expires: unknown; readonly signature: unknown },
): boolean {
  if (typeof signature !== 'string' || !/^\d{1,15}$/.test(String(expires))) return false;
  const until = Number(expires);
  const [given, wanted] = [Buffer.from(signature), Buffer.from(sign(farmKey, sha256, until))];
  return until > clock.now() && given.length === wanted.length && timingSafeEqual(given, wanted);
}

function sign(farmKey: Pick<FarmKey, 'fingerprint'>, sha256: string, expires: number): string {
  return farmKey.fingerprint(`link to blob ${sha256} until ${expires}`);
}
