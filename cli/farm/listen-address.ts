import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { hostInUrl } from '../../common/text/host-in-url.ts';

/** Where a farm on this machine is served to others, with TLS. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** PEM files. */
  readonly certificateFile: string;
  readonly keyFile: string;
}

const DEFAULT_PORT = 8443;

/** Reads `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; undefined for other text. */
export function parseListen(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = isIP(text) === 6 ? text : (bracketed ?? plain);
  const requested = Number(port ?? DEFAULT_PORT);
  return host === undefined || requested < 1 || requested > 65_535 ? undefined : { host, port: requested };
}

/** The URL under which others find what listens there. */
export function listenUrl({ host, port }: Pick<ListenAddress, 'host' | 'port'>): string {
  return `https://${hostInUrl(host)}:${port}`;
}

/**
 * Puts the flags `--listen`, `--tls-cert` and `--tls-key` together: all of them, or none.
 * @throws FarmError `InvalidRequest` when one is missing: who listens to plain HTTP reads tokens
 */
export function listenAddress(flags: {
  readonly listen?: { readonly host: string; readonly port: number };
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}): ListenAddress | undefined {
  const { listen, tlsCert, tlsKey } = flags;
  if (!listen && !tlsCert && !tlsKey) return undefined;
  if (listen && tlsCert && tlsKey) return { ...listen, certificateFile: resolve(tlsCert), keyFile: resolve(tlsKey) };
  const message =
    '--listen, --tls-cert and --tls-key must be given together: a farm is served to other machines only with TLS, because clients send tokens.';
  throw new FarmError('InvalidRequest', message);
}
