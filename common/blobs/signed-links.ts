import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock/clock.ts';
import type { FarmKey } from '../config/sealing.ts';
import type { LayerDiskName } from '../contracts/layer-disks.ts';

/** Where schedulers serve contents to holders of a link. */
export const BLOB_LINKS = '/internal/blobs';
/** Where they serve disks of layers. */
export const LAYER_DISK_LINKS = '/internal/layer-disks';
/** An importer may ask again for as long as its module is built; builds seldom last longer. */
const VALID_MS = 24 * 3_600_000;

/** Shared knowledge of both ends of a link. */
export interface SignedLinkOptions {
  readonly farmKey: Pick<FarmKey, 'fingerprint'>;
  readonly clock: Clock;
}

/** Target of a link. */
interface Target {
  readonly path: string;
  /** Subject of its signature. */
  readonly subject: string;
}

/** Query of the URL that the holder of a link presents. */
interface Shown {
  readonly expires: unknown;
  readonly signature: unknown;
}

/** A URL that allows its holder to read this one content, for a while; `base` is the address of the schedulers. */
export function blobLink(options: SignedLinkOptions, base: string, sha256: string): string {
  return signedLink(options, base, blobTarget(sha256));
}

/** Whether a link was made by this farm for this content, and still holds. */
export function isBlobLink(
  options: SignedLinkOptions,
  { sha256, ...shown }: Shown & { readonly sha256: string },
): boolean {
  return isSigned(options, blobTarget(sha256), shown);
}

/** As `blobLink`, for a disk of a layer. */
export function layerDiskLink(options: SignedLinkOptions, base: string, disk: LayerDiskName): string {
  return signedLink(options, base, layerDiskTarget(disk));
}

/** As `isBlobLink`, for a disk of a layer. */
export function isLayerDiskLink(
  options: SignedLinkOptions,
  { disk, ...shown }: Shown & { readonly disk: LayerDiskName },
) {
  return isSigned(options, layerDiskTarget(disk), shown);
}

function blobTarget(sha256: string): Target {
  return { path: `${BLOB_LINKS}/${sha256}`, subject: `blob ${sha256}` };
}

function layerDiskTarget({ layerKey, vm, disk }: LayerDiskName): Target {
  const path = [layerKey, vm, disk].map(encodeURIComponent).join('/');
  return { path: `${LAYER_DISK_LINKS}/${path}`, subject: `disk of a layer ${path}` };
}

function signedLink({ farmKey, clock }: SignedLinkOptions, base: string, { path, subject }: Target): string {
  const expires = clock.now() + VALID_MS;
  const url = new URL(`${base.replace(/\/+$/, '')}${path}`);
  url.searchParams.set('expires', String(expires));
  url.searchParams.set('signature', sign(farmKey, subject, expires));
  return url.href;
}

function isSigned({ farmKey, clock }: SignedLinkOptions, { subject }: Target, { expires, signature }: Shown): boolean {
  if (typeof signature !== 'string' || !/^\d{1,15}$/.test(String(expires))) return false;
  const until = Number(expires);
  const [given, expected] = [Buffer.from(signature), Buffer.from(sign(farmKey, subject, until))];
  return until > clock.now() && given.length === expected.length && timingSafeEqual(given, expected);
}

function sign(farmKey: Pick<FarmKey, 'fingerprint'>, subject: string, expires: number): string {
  return farmKey.fingerprint(`link to ${subject} until ${expires}`);
}
