import { type Agent, fetch, type Response } from 'undici';
import { readValidator, type SourceValidator } from '../contracts/source-validator.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';

/** How a user's URL is asked for. */
export interface SourceRequest {
  /** From `createGuardedAgent`: decides which addresses may be reached. */
  readonly agent: Agent;
  readonly signal?: AbortSignal;
  /** @defaultValue GET */
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
}

const VALIDATOR_MS = 30_000;
/** Answers of servers that do not do HEAD. */
const NO_HEAD = [403, 405, 501];
const NOTHING_THERE = [404, 410];

/**
 * Asks for a URL that a user wrote, redirects followed; the body is the caller's to read or cancel.
 * @throws SourceUnreachable with `details.status` for an answer other than 2xx; the signal's reason when it is aborted
 */
export async function fetchSource(url: string, request: SourceRequest): Promise<Response> {
  const { agent, signal, method = 'GET', headers = {} } = request;
  let response: Response;
  try {
    response = await fetch(url, { dispatcher: agent, method, headers, ...(signal ? { signal } : {}) });
  } catch (error) {
    signal?.throwIfAborted();
    const why = errorMessage(error instanceof Error ? (error.cause ?? error) : error);
    throw new FarmError('SourceUnreachable', `${withoutSecrets(url)}: ${why}`, { cause: error });
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const { status } = response;
  throw new FarmError('SourceUnreachable', `${withoutSecrets(url)}: the server answered ${status}`, {
    details: { status },
  });
}

/**
 * What the server says of the present content of a URL. Null when this process may not or cannot ask: a cluster may
 * well reach what the farm does not.
 * @throws SourceUnreachable when the server says that nothing is there
 */
export async function askValidator(
  url: string,
  { agent, signal }: Pick<SourceRequest, 'agent' | 'signal'>,
): Promise<SourceValidator | null> {
  const late = AbortSignal.timeout(VALIDATOR_MS);
  const request = { agent, signal: signal ? AbortSignal.any([signal, late]) : late };
  try {
    const response = await headOrFirstByte(url, request);
    await response.body?.cancel();
    return readValidator(response.headers);
  } catch (error) {
    signal?.throwIfAborted();
    if (NOTHING_THERE.includes(statusOf(error))) throw error;
    return null;
  }
}

async function headOrFirstByte(url: string, request: SourceRequest): Promise<Response> {
  try {
    return await fetchSource(url, { ...request, method: 'HEAD' });
  } catch (error) {
    if (!NO_HEAD.includes(statusOf(error))) throw error;
    return fetchSource(url, { ...request, headers: { range: 'bytes=0-0' } });
  }
}

/** The HTTP status that an error carries; 0 when there was no answer. */
function statusOf(error: unknown): number {
  return error instanceof FarmError ? Number(error.details['status'] ?? 0) : 0;
}

/** The query and credentials of a URL may be secret. */
function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
