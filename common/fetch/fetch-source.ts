import { type Agent, fetch, type Response } from 'undici';
import { readValidator, type SourceValidator } from '../contracts/source-validator.ts';
import { errorMessage, FarmError } from '../errors/farm-error.ts';
import { anySignal } from '../lifecycle/any-signal.ts';
import { shownUrl } from '../text/shown-url.ts';

/** How a user's URL is asked for. */
export interface SourceRequest {
  /** From `createGuardedAgent`: decides which addresses may be reached. */
  readonly agent: Agent;
  readonly signal?: AbortSignal;
  /** @defaultValue GET */
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** In the open. Sent to the host of the URL alone, not to where it redirects. */
  readonly credentials?: { readonly username: string; readonly password: string };
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
  const { agent, signal, method = 'GET', credentials } = request;
  const headers = { ...request.headers, ...(credentials ? { authorization: basicAuthorization(credentials) } : {}) };
  let response: Response;
  try {
    response = await fetch(url, { dispatcher: agent, method, headers, ...(signal ? { signal } : {}) });
  } catch (error) {
    signal?.throwIfAborted();
    const why = errorMessage(error instanceof Error ? (error.cause ?? error) : error);
    throw new FarmError('SourceUnreachable', `${shownUrl(url)}: ${why}`, { cause: error });
  }
  if (response.ok) return response;
  await response.body?.cancel();
  const { status } = response;
  const hint = status === 401 ? `; ${loginHint(credentials !== undefined)}` : '';
  throw new FarmError('SourceUnreachable', `${shownUrl(url)}: the server answered ${status}${hint}`, {
    details: { status },
  });
}

/** Remedy for a server that requires authentication (401). */
export function loginHint(isGiven: boolean): string {
  return isGiven
    ? 'it does not accept the user and password of the URL'
    : 'it requires a user and a password: write https://USER:PASSWORD@HOST/… in the module, with a secret of the farm';
}

/** RFC 7617. */
function basicAuthorization({ username, password }: NonNullable<SourceRequest['credentials']>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * Validators of the present content of a URL. Null when this process may not or cannot connect: a cluster may
 * well reach what the farm does not.
 * @throws SourceUnreachable when the server reports that the content does not exist
 */
export async function askValidator(
  url: string,
  asked: Pick<SourceRequest, 'agent' | 'signal' | 'credentials'>,
): Promise<SourceValidator | null> {
  const { signal } = asked;
  const late = AbortSignal.timeout(VALIDATOR_MS);
  const request = { ...asked, signal: signal ? anySignal(signal, late) : late };
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
