import { Agent, buildConnector } from 'undici';
import { createAddressGuard } from './address-guard.ts';

/** A server without any answer for this long counts as dead. */
const SILENCE_MS = 30_000;

/** Agent of the farm's own processes for users' URLs, redirects included. The caller destroys it. */
export function createGuardedAgent(options: { readonly allowedAddresses: readonly string[] }): Agent {
  const guard = createAddressGuard(options);
  return new Agent({
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
    connect: (target, callback) => {
      const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
      try {
        buildConnector({ lookup: guard.lookupFor(target.hostname, port) })(target, callback);
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)), null);
      }
    },
  });
}
