import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { rootCertificates, connect as secure } from 'node:tls';
import { firstLine } from '../host/first-line.ts';

/** Verification of servers. */
export interface ServerTrust {
  /** Certificate authorities besides the system's, as PEM. */
  readonly certificateAuthorities?: readonly string[];
  readonly mayBeUnverified?: boolean;
}

/** How the outside is reached. */
export interface Outside {
  /** Path of the way out: see `NetworkDoor`. */
  readonly door: string;
  readonly signal: AbortSignal;
}

/** Connects with the server of a URL. Rejects with the answer of the door. */
export async function connectOutside(url: URL, { door, signal }: Outside, trust: ServerTrust = {}): Promise<Socket> {
  if (!/^https?:$/.test(url.protocol)) throw new Error(`unsupported protocol scheme "${url.protocol.slice(0, -1)}"`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isSecure = url.protocol === 'https:';
  const socket = connect(door);
  const abort = () => socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    await once(socket, 'connect');
    socket.write(`CONNECT ${host} ${url.port || (isSecure ? 443 : 80)}\n`);
    const answer = await firstLine(socket);
    if (answer !== 'OK') throw new Error(answer.replace(/^ERROR /, '') || 'the connection was closed');
    if (!isSecure) return socket;
    const { certificateAuthorities, mayBeUnverified = false } = trust;
    const encrypted = secure({
      ...{ socket, host, servername: isIP(host) ? '' : host, rejectUnauthorized: !mayBeUnverified },
      ...(certificateAuthorities ? { ca: [...rootCertificates, ...certificateAuthorities] } : {}),
    });
    await once(encrypted, 'secureConnect');
    return encrypted;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
