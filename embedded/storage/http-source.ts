import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { connectOutside, type Outside, type ServerTrust } from './connect-outside.ts';
import { ImportHttpError } from './import-http-error.ts';

const MOST_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];
/** A source without data for this long has failed. */
const IDLE_MS = 120_000;

/** Where an import reads from. */
export interface HttpSource extends ServerTrust {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** An opened source. */
export interface HttpContent {
  readonly body: IncomingMessage;
  /** Undefined when the source does not report it. */
  readonly lengthBytes: number | undefined;
}

/**
 * Opens the source; follows redirects. Rejects in CDI's words when the answer is not 200.
 * By Node's own client: undici (7.30) ends the process with an assertion when a server closes the connection to mark the
 * end of a body while that body is held back by its reader.
 */
export async function openHttpSource(source: HttpSource, outside: Outside): Promise<HttpContent> {
  let url = new URL(source.url);
  let headers = source.headers;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const response = await request(url, { ...source, headers }, outside);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (status === 200) return { body: response, lengthBytes: lengthOf(response) };
    response.destroy();
    if (!REDIRECTS.includes(status) || location === undefined) {
      throw new ImportHttpError(status, response.statusMessage ?? '');
    }
    const next = new URL(location, url);
    // Credentials are for the host that they were given for.
    if (next.origin !== url.origin) headers = withoutCredentials(headers);
    url = next;
  }
  throw new Error(`stopped after ${MOST_REDIRECTS} redirects`);
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  const secret = ['authorization', 'cookie'];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !secret.includes(name.toLowerCase())));
}

async function request(
  url: URL,
  { headers, ...trust }: Omit<HttpSource, 'url'>,
  outside: Outside,
): Promise<IncomingMessage> {
  const socket = await connectOutside(url, outside, trust);
  return await new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? getHttps : getHttp;
    const pending = get(url, { headers, signal: outside.signal, createConnection: () => socket });
    pending.once('response', resolve);
    pending.once('error', reject);
    pending.setTimeout(IDLE_MS, () => pending.destroy(new Error(`the source was silent for ${IDLE_MS / 1000} s`)));
  });
}

function lengthOf({ headers }: IncomingMessage): number | undefined {
  const length = Number(headers['content-length']);
  return headers['content-length'] !== undefined && Number.isFinite(length) ? length : undefined;
}
