import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { BlockList, isIP } from 'node:net';
import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';

export interface FetchOptions {
  /** Whether loopback, link-local and private addresses may be reached. */
  readonly allowPrivateAddresses: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

const MAX_REDIRECTS = 5;
const IDLE_MS = 30_000;

/** Addresses that belong to the farm's own surroundings (IANA special-purpose registries). */
const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv6');
}

/**
 * GET of a URL that a user wrote, following redirects; the answer's body is the caller's to read or destroy. The address
 * that is really connected to is checked, so neither a redirect nor DNS leads into the farm's own network.
 * @throws SourceUnreachable
 */
export async function guardedFetch(url: string, options: FetchOptions): Promise<IncomingMessage> {
  let target = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const response = await request(target, options);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (status >= 200 && status < 300) return response;
    response.destroy();
    if (status < 300 || status >= 400 || !location) throw unreachable(url, `the server answered ${status}`);
    target = new URL(location, target).href;
  }
  throw unreachable(url, `more than ${MAX_REDIRECTS} redirects`);
}

function request(url: string, options: FetchOptions): Promise<IncomingMessage> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (protocol !== 'http:' && protocol !== 'https:') throw unreachable(url, `"${protocol}" is not fetched`);
  if (!options.allowPrivateAddresses && isPrivate(host)) throw unreachable(url, refusal(host));
  return new Promise((resolve, reject) => {
    const outgoing = (protocol === 'https:' ? https : http).get(url, {
      headers: { ...options.headers },
      signal: options.signal,
      agent: false,
      ...(options.allowPrivateAddresses ? {} : { lookup: publicLookup }),
    });
    outgoing.setTimeout(IDLE_MS, () => outgoing.destroy(new Error(`no answer within ${IDLE_MS / 1000} s`)));
    outgoing.on('response', resolve);
    outgoing.on('error', (error) =>
      reject(options.signal.aborted ? options.signal.reason : unreachable(url, errorMessage(error), error)),
    );
  });
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** The system's resolver without the addresses that must not be reached. */
function publicLookup(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const [first] = addresses;
    const forbidden = addresses.find(({ address }) => isPrivate(address));
    if (forbidden || !first) return callback(new Error(refusal(forbidden?.address ?? hostname)), []);
    if (options.all) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
}

/** True for addresses of the farm's surroundings; names are none. */
export function isPrivate(address: string): boolean {
  const mapped = /^::ffff:(.+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isIP(mapped) === 4 ? isPrivate(mapped) : true;
  const family = isIP(address);
  return family !== 0 && PRIVATE.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

function refusal(address: string): string {
  return `${address} is not a public address (fetch.allowPrivateAddresses)`;
}

/** Without the query and credentials of the URL, which may be secret. */
function unreachable(url: string, why: string, cause?: unknown): FarmError {
  const { protocol, host, pathname } = new URL(url);
  return new FarmError('SourceUnreachable', `${protocol}//${host}${pathname}: ${why}`, { cause });
}
