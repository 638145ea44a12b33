import { networkInterfaces } from 'node:os';
import { hostInUrl } from '../text/host-in-url.ts';
import type { Config } from './schema.ts';

const EVERYWHERE = ['0.0.0.0', '::', ''];

/** `http://…` under which other processes of the farm reach a port of this one. */
export function ownAddress({ host, advertisedHost }: Config['http'], port: number): string {
  const known = advertisedHost ?? (EVERYWHERE.includes(host) ? firstAddress() : host);
  return `http://${hostInUrl(known)}:${port}`;
}

/** IPv4 before IPv6; loopback when the machine has no other. */
function firstAddress(): string {
  const outer = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ internal, scopeid }) => !internal && !scopeid),
  );
  return (outer.find(({ family }) => family === 'IPv4') ?? outer[0])?.address ?? '127.0.0.1';
}
