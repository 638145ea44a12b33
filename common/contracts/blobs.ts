import { z } from 'zod';

/** SHA-256 of a content in lower-case hexadecimal: its name in the farm's store. */
export const sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'A content is named by its SHA-256: 64 lower-case hexadecimal digits.');

const SCHEME = 'blob:';

/** The form of a local path in a compiled module: `blob:` and the SHA-256 of the content. */
export type BlobUrl = `${typeof SCHEME}${string}`;

export function blobUrl(sha256: string): BlobUrl {
  return `${SCHEME}${sha256}`;
}

/** The SHA-256 that a URL names in the farm's store; undefined for any other URL. */
export function blobOf(url: string): string | undefined {
  return url.startsWith(SCHEME) ? url.slice(SCHEME.length) : undefined;
}

/** The contents that a JSON text refers to, wherever they are in it. */
export function blobsIn(json: string): ReadonlySet<string> {
  return new Set([...json.matchAll(/"blob:([0-9a-f]{64})"/g)].map(([, sha256 = '']) => sha256));
}

/** A content that the farm has. */
export const blobViewSchema = z.object({ sha256: sha256Schema, sizeBytes: z.int() });
export type BlobView = z.infer<typeof blobViewSchema>;

/** Header of every answer about a content: how many bytes of it the farm has (draft-ietf-httpbis-resumable-upload). */
export const UPLOAD_OFFSET = 'upload-offset';
