import { isIPv6 } from 'node:net';

/** The address of a server of this cluster. */
export function serverUrl(host: string, port: number): string {
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
