import { blobOf } from '../../../common/contracts/blobs.ts';
import type { SourceKey } from '../../../common/contracts/layers.ts';
import type { Checksum } from '../../../common/contracts/module/contents.ts';
import type { Location } from '../../../common/contracts/module/location.ts';
import { IMAGE_PREFIX } from '../../../common/contracts/source-validator.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { parseContainerReference, pinnedReference } from '../../../common/registry/image-reference.ts';
import { shownUrl } from '../../../common/text/shown-url.ts';
import type { Filling } from '../../cluster/volume-size.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import type { SourceLook } from './source-look.ts';

/** Sources that an importer can fetch. */
export type ImportOrigin =
  | ({ readonly kind: 'url'; readonly checksum: Checksum | null } & Location)
  | { readonly kind: 'image'; readonly image: string }
  | CopyOrigin;

/** A disk of this size that the schedulers serve when they have made a file of it. */
export interface CopyOrigin {
  readonly kind: 'copy';
  readonly url: string;
  readonly what: string;
  readonly sizeBytes: number;
  /** Of the file, when it is there. */
  checksum(): Promise<Checksum>;
}

/** An origin that an importer can fetch at once. */
export type FetchedOrigin = Exclude<ImportOrigin, CopyOrigin>;

/** Of the farm's own blobs the name is the checksum, and registries give digests. */
export function isUnpinned(origin: ImportOrigin): boolean {
  return origin.kind === 'url' && origin.checksum === null && blobOf(origin.url) === undefined;
}

/** Size of its disk, where it is known before the import. */
export function knownBytes(origin: ImportOrigin, look: SourceLook | undefined): number | undefined {
  if (origin.kind === 'copy') return origin.sizeBytes;
  return look?.image?.compression === undefined ? look?.image?.virtualSizeBytes : undefined;
}

/** Source for importers; a copy is ready then. */
export async function importable(origin: ImportOrigin): Promise<FetchedOrigin> {
  if (origin.kind !== 'copy') return origin;
  return { kind: 'url', url: origin.url, credentials: null, checksum: await origin.checksum() };
}

/** Failures name the source, and the answer of the server. */
export function nameOf(
  { what, origin }: { readonly what: string; readonly origin: ImportOrigin },
  look: SourceLook | undefined,
): string {
  if (origin.kind === 'image') return `${what} from the container image ${origin.image}`;
  if (origin.kind === 'copy') return what;
  if (blobOf(origin.url) !== undefined) return `${what} from a local file`;
  return `${what} from ${shownUrl(origin.url)}${look ? ` (${look.answer})` : ''}`;
}

/** Name of an origin for readers. */
export function originText(origin: ImportOrigin): string {
  if (origin.kind === 'image') return origin.image;
  if (origin.kind === 'copy') return origin.what;
  const sha256 = blobOf(origin.url);
  return sha256 === undefined ? shownUrl(origin.url) : `local file ${sha256.slice(0, 12)}`;
}

/** A container image is fetched by the digest that was planned, so it cannot be another one. */
export function importerSource(
  { addresses }: PhaseContext,
  { origin, identity }: { readonly origin: FetchedOrigin; readonly identity: SourceKey },
): Pick<Filling, 'source' | 'credentials'> {
  if (origin.kind === 'url') {
    const { credentials, checksum } = origin;
    const url = addresses.forCluster(origin.url);
    // Older generated types know no checksum; CDI has it since 1.65.
    const http = { url, ...(checksum ? { checksum: `${checksum.algorithm}:${checksum.hex}` } : {}) };
    return { source: { http: http as { url: string } }, credentials };
  }
  const reference = parseContainerReference(origin.image);
  if (!reference) {
    throw new FarmError(
      'InvalidModule',
      `"${origin.image}" is not a container image reference: write REGISTRY/PATH:TAG.`,
    );
  }
  const image = identity === null ? origin.image : pinnedReference(reference, identity.slice(IMAGE_PREFIX.length));
  return { source: { registry: { url: `docker://${image}`, pullMethod: 'pod' } } };
}
