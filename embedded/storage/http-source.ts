import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import type { AddressGuard } from '../../common/fetch/address-guard.ts';
import { ImportHttpError } from './import-http-error.ts';

const MOST_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];
/** A source that says nothing for so long has failed. */
const IDLE_MS = 120_000;

/** Where an import reads from. */
export interface HttpSource {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Certificate authorities besides the system's, as PEM. */
  readonly certificateAuthorities?: readonly string[];
  readonly mayBeUnverified: boolean;
}

/** An opened source. */
export interface HttpContent {
  readonly body: IncomingMessage;
  /** Undefined when the source does not say. */
  readonly lengthBytes: number | undefined;
}

/** How a source is asked. */
export interface SourceAccess {
  /** Decides which addresses the source, and where it redirects to, may have. */
  readonly guard: AddressGuard;
  readonly signal: AbortSignal;
}

/**
 * Opens the source; follows redirects. Rejects in CDI's words when the answer is not 200.
 * By Node's own client: undici (7.30) ends the process with an assertion when a server closes the connection to mark the
 * end of a body while that body is held back by its reader.
 */
export async function openHttpSource(source: HttpSource, access: SourceAccess): Promise<HttpContent> {
  let url = new URL(source.url);
  let headers = source.headers;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const response = await request(url, { ...source, headers }, access);
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

function request(url: URL, source: Omit<HttpSource, 'url'>, { guard, signal }: SourceAccess): Promise<IncomingMessage> {
  const { headers, certificateAuthorities, mayBeUnverified } = source;
  const trust = {
    rejectUnauthorized: !mayBeUnverified,
    ...(certificateAuthorities ? { ca: [...rootCertificates, ...certificateAuthorities] } : {}),
  };
  return new Promise((resolve, reject) => {
    // One connection per import: nothing is gained by keeping it.
    const isSecure = url.protocol === 'https:';
    const lookup = guard.lookupFor(url.hostname, Number(url.port) || (isSecure ? 443 : 80));
    const options = { headers, signal, lookup, agent: false as const };
    const pending = isSecure ? getHttps(url, { ...options, ...trust }) : getHttp(url, options);
    pending.once('response', resolve);
    pending.once('error', reject);
    pending.setTimeout(IDLE_MS, () => pending.destroy(new Error(`the source was silent for ${IDLE_MS / 1000} s`)));
  });
}

function lengthOf({ headers }: IncomingMessage): number | undefined {
  const length = Number(headers['content-length']);
  return headers['content-length'] !== undefined && Number.isFinite(length) ? length : undefined;
}
