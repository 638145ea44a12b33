import { json, type Request, type RequestHandler, type Response, raw } from 'express';
import type { Operation } from '../../common/contracts/api/operation.ts';
import { MAX_SECRET_BYTES } from '../../common/contracts/secrets.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { HttpLimits } from './limits.ts';

const readJson = json({ limit: '64kb' });
// Not as JSON: the error of a JSON parser quotes the body.
const readText = raw({ type: () => true, limit: MAX_SECRET_BYTES });

/** The body of a request as its operation takes it; undefined where there is none, or where its handler reads it. @throws InvalidRequest */
export async function readBody(
  { body, bodyType }: Operation,
  limits: Pick<HttpLimits, 'body'>,
  { request, response }: { readonly request: Request; readonly response: Response },
): Promise<unknown> {
  if (body === undefined || body === 'content') return undefined;
  const read = async (reader: RequestHandler): Promise<unknown> => {
    await new Promise<void>((resolve, reject) => {
      reader(request, response, (error?: unknown) => (error ? reject(error) : resolve()));
    });
    return request.body;
  };
  if (body === 'modules') return bytesOf(await read(raw({ type: () => true, limit: limits.body })));
  if (bodyType === 'text/plain') return body.parse(textOf(bytesOf(await read(readText))));
  return body.parse(await read(readJson));
}

/** Undefined, or an empty object, where there was no body. */
function bytesOf(body: unknown): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FarmError('InvalidRequest', 'The body is not UTF-8 text: encode it, for example with base64.');
  }
}
