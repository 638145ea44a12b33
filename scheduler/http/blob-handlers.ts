import { type RequestHandler, Router } from 'express';
import type { z } from 'zod';
import { BLOB_LINKS, isBlobLink } from '../../common/blobs/signed-links.ts';
import type { Clock } from '../../common/clock/clock.ts';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { uploadHeadersSchema } from '../../common/contracts/api/parameters.ts';
import { UPLOAD_OFFSET } from '../../common/contracts/blobs.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import { audit } from './audit.ts';
import type { Handlers } from './handler.ts';
import type { Admit } from './limits.ts';

/** Dependencies of the handlers. */
export interface BlobHandlersOptions {
  readonly farmKey: FarmKey;
  readonly clock: Clock;
  /** Null: this farm takes no local files. */
  readonly blobs: BlobStore | null;
  /** Bounds how many uploads run at once. */
  readonly admit: Admit;
}

/** Contents of local files, sent by clients that build. */
export function blobHandlers({ blobs, admit }: BlobHandlersOptions) {
  return {
    /** GET and HEAD. */
    async readBlob({ params: { sha256 }, response }) {
      const store = required(blobs);
      const found = await store.use(sha256);
      response.set(UPLOAD_OFFSET, String(found?.sizeBytes ?? (await store.received(sha256))));
      if (!found) throw new FarmError('NotFound', `The farm does not have the whole content ${sha256}.`);
      return { status: 200, body: found };
    },

    async putBlob({ params: { sha256 }, headers, request, response }) {
      const store = required(blobs);
      const known = await store.use(sha256);
      if (known) {
        audit(response, { outcome: 'known', subject: sha256 });
        return { status: 200, body: known };
      }
      admit(response, request);
      const { offset, sizeBytes } = rangeOf(headers);
      // A refusal must reach the sender: its connection stays open.
      const content = request.iterator({ destroyOnReturn: false });
      const taken = await store.take(sha256, { offset, sizeBytes, content }).catch(async (error: unknown) => {
        if (error instanceof FarmError && error.code === 'UploadConflict') {
          response.set(UPLOAD_OFFSET, String(await store.received(sha256)));
        }
        throw error;
      });
      audit(response, { outcome: 'taken', subject: sha256 });
      return { status: 201, body: taken };
    },
  } satisfies Partial<Handlers>;
}

/** Serves one content to holders of a link to it: importers of clusters have no token. */
export function blobLinks({ blobs, farmKey, clock }: Omit<BlobHandlersOptions, 'admit'>): RequestHandler {
  const router = Router();
  router.get(`${BLOB_LINKS}/:sha256`, (request, response, next) => {
    const sha256 = request.params['sha256'] ?? '';
    const { expires, signature } = request.query;
    if (!blobs || !isBlobLink({ farmKey, clock }, { sha256, expires, signature })) {
      return void response.status(403).type('text').send('The link is not valid or has expired.\n');
    }
    response.type('application/octet-stream').set({ 'cache-control': 'no-store', etag: `"${sha256}"` });
    const options = { root: blobs.folder, cacheControl: false, etag: false, lastModified: false };
    response.sendFile(sha256, options, (error) => {
      // Gone while it was sent, or the reader is.
      if (error && !response.headersSent) next(new FarmError('NotFound', `Content ${sha256} not found.`));
    });
  });
  return router;
}

function required(blobs: BlobStore | null): BlobStore {
  if (blobs) return blobs;
  throw new FarmError('LocalFilesOff', 'Local files need storage: the option blobs.directory is not set.');
}

/** The range of the upload, by `Content-Range: bytes FIRST-LAST/SIZE`, else the whole content. */
function rangeOf(headers: z.output<typeof uploadHeadersSchema>): { offset: number; sizeBytes: number | null } {
  const { 'content-range': range, 'content-length': length } = headers;
  if (range) return range;
  return { offset: 0, sizeBytes: length ?? null };
}
