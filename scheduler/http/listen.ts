import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIP } from 'node:net';
import type { Config } from '../../common/config/schema.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { hostInUrl } from '../../common/text/host-in-url.ts';

/**
 * How long a connection without a request is kept. Clients close theirs sooner (undici after what this server announces,
 * less a second), so that none sends a request on a connection that is just being closed.
 */
const KEEP_ALIVE_MS = 65_000;

/** Where a server listens. */
interface Listening {
  readonly url: string;
  readonly port: number;
}

/**
 * Listens without TLS: on loopback, unless the configuration allows it anywhere. What clients send is a token.
 * @throws FarmError `InvalidConfig` for another address
 */
export async function listenPlain(resources: ReleaseStack, server: Server, http: Config['http']): Promise<Listening> {
  const { host, port, plaintext } = http;
  if (plaintext === 'loopback' && !isLoopback(host)) {
    const remedy =
      'Serve TLS there (http.tls), or set http.plaintext to "anywhere" where a proxy with TLS is in front of it';
    throw new FarmError(
      'InvalidConfig',
      `http.host is "${host}": without TLS the scheduler listens on loopback only. ${remedy}.`,
    );
  }
  const listening = await listen(resources, server, { host, port });
  return { url: `http://${hostInUrl(host)}:${listening}`, port: listening };
}

/** Listens with TLS as well, where there is a certificate. @throws FarmError `InvalidConfig` when it cannot be used */
export async function listenTls(
  resources: ReleaseStack,
  { tls }: Config['http'],
): Promise<(Listening & { readonly server: Server }) | undefined> {
  const { certificateFile, keyFile, host, port } = tls;
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  const server = createTlsServer({ minVersion: 'TLSv1.2', ...readCertificate(certificateFile, keyFile) });
  const listening = await listen(resources, server, { host, port });
  return { server, url: `https://${hostInUrl(host)}:${listening}`, port: listening };
}

function readCertificate(certificateFile: string | undefined, keyFile: string | undefined) {
  if (certificateFile === undefined || keyFile === undefined) {
    throw new FarmError('InvalidConfig', 'TLS needs both: http.tls.certificateFile and http.tls.keyFile.');
  }
  try {
    const pair = { cert: readFileSync(certificateFile), key: readFileSync(keyFile) };
    createTlsServer(pair).close();
    return pair;
  } catch (cause) {
    const message = `The certificate "${certificateFile}" and its key "${keyFile}" cannot be used: ${errorMessage(cause)}`;
    throw new FarmError('InvalidConfig', message, { cause });
  }
}

/** Open streams would keep the server from closing: clients reconnect elsewhere. */
async function listen(
  resources: ReleaseStack,
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(port, host);
  await once(server, 'listening');
  resources.defer('HTTP server', async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : port;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
