import type { Request } from 'express';
import { z } from 'zod';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { BuildRequest } from '../builds/build-service.ts';

const MAX_FILES = 2_000;

/** What the CLI sends: files under the names that messages use. */
export const submissionSchema = z.strictObject({
  files: z
    .array(z.strictObject({ path: z.string().max(4096), text: z.string() }))
    .min(1)
    .max(MAX_FILES),
  variables: z.record(z.string(), z.string()).default({}),
});

const flag = z.stringbool().default(false);

export const submissionQuerySchema = z.object({
  noCache: flag,
  /** Names of modules, separated by commas. */
  rebuild: z.string().default(''),
  strict: flag,
  /** Answer when the build has finished. */
  wait: flag,
});

/**
 * Reads a submission: modules as YAML or JSON documents, or `{files, variables}`. @throws InvalidRequest
 */
export function readSubmission(request: Request): BuildRequest & { readonly wait: boolean } {
  const { rebuild, ...query } = submissionQuerySchema.parse(request.query);
  const options = { ...query, rebuild: rebuild.split(',').filter((name) => name !== '') };
  const text = z.string().safeParse(request.body).data ?? '';
  if (text.trim() === '')
    throw new FarmError('InvalidRequest', 'The request has no body: send modules as YAML or JSON.');
  if (!request.is('json')) return { files: [{ path: 'request.yaml', text }], variables: {}, ...options };
  const body = parseJson(text);
  if (typeof body === 'object' && body !== null && 'files' in body && Array.isArray(body.files)) {
    return { ...submissionSchema.parse(body), ...options };
  }
  return { files: [{ path: 'request.json', text }], variables: {}, ...options };
}

/** The key under which a client may repeat a request. @throws InvalidRequest */
export function readIdempotencyKey(request: Request): string | null {
  const key = request.get('idempotency-key');
  if (key === undefined) return null;
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new FarmError('InvalidRequest', 'The Idempotency-Key must be 1 to 255 printable ASCII characters.');
  }
  return key;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FarmError('InvalidRequest', `The body is no JSON: ${String(error)}`, { cause: error });
  }
}
