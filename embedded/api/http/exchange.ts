import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { ApiError, badRequest, unsupportedBody } from '../api-error.ts';
import { duplicateFields } from './duplicate-fields.ts';
import { decodeProtobuf, PROTOBUF } from './protobuf.ts';

/** Largest body that is read, in bytes; apiserver's limit. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** One HTTP request with what every handler needs of it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly url: URL;
  /** Aborted when the client goes away or the server stops. */
  readonly signal: AbortSignal;
}

/** The media type of a header value, without parameters, in lower case. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Reads the whole body. @throws ApiError 413 */
export async function readBody(request: IncomingMessage): Promise<string> {
  return (await readBytes(request)).toString('utf8');
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Ending the loop early must not end the connection: the refusal still has to go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Parses text as YAML by media type, else as JSON. @throws ApiError 400 */
export function parseBody(text: string, type: string): unknown {
  try {
    return type.includes('yaml') ? parseYaml(text) : JSON.parse(text);
  } catch (cause) {
    throw badRequest(`the request body cannot be parsed: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** A body, and the paths of the fields that stand twice in it. */
export interface ReadBody {
  readonly body: unknown;
  readonly duplicateFields: readonly string[];
}

/** Reads a JSON, YAML or (for a few kinds) protobuf body; undefined when it is empty. @throws ApiError 400, 413, 415 */
export async function readObject(request: IncomingMessage): Promise<unknown> {
  return (await readObjectStrictly(request)).body;
}

/** Like `readObject`, and reports duplicate fields. */
export async function readObjectStrictly(request: IncomingMessage): Promise<ReadBody> {
  const type = mediaType(request.headers['content-type']);
  const bytes = await readBytes(request);
  if (bytes.length === 0) return { body: undefined, duplicateFields: [] };
  if (type === PROTOBUF) return { body: decodeProtobuf(bytes), duplicateFields: [] };
  if (!['', 'application/json', 'application/yaml', '*/*'].includes(type)) {
    throw unsupportedBody('accepted media types include: application/json, application/yaml');
  }
  const text = bytes.toString('utf8');
  const body = parseBody(text, type);
  return { body, duplicateFields: type.includes('yaml') ? [] : duplicateFields(text) };
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, code: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(code, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** Answers with a few words or bytes. */
export function sendBytes(response: ServerResponse, type: string, body: string | Buffer): void {
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

/** The Status for a thrown error. Errors other than refusals become 500. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ApiError(500, 'InternalError', `Internal error occurred: ${message}`);
}
