import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

/** How long a guest is tried. */
const REACH_MS = 5_000;
/** The kernel retries each second, and reports after three of them that the host has no route. */
const SILENCE_MS = 4_000;
/** After a refusal: a retry is cheap, and a guest that boots refuses until its server listens. */
const PAUSE_MS = 50;

/**
 * Connects to a guest, again and again until it takes the connection: a guest that boots is reached the moment when it
 * can be. Stops trying when `client` goes. @throws the last try's error
 */
export async function reachGuest(
  target: { readonly host: string; readonly port: number },
  client: Duplex,
): Promise<Socket> {
  const startedAt = performance.now();
  for (;;) {
    try {
      return await tryOnce(target, client);
    } catch (error) {
      if (client.destroyed || performance.now() - startedAt > REACH_MS) throw error;
      await pause(PAUSE_MS);
    }
  }
}

function tryOnce(target: { readonly host: string; readonly port: number }, client: Duplex): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const guest = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const leave = () => guest.destroy(new Error('the client has gone'));
    const settled = () => {
      client.off('close', leave);
      guest.setTimeout(0);
    };
    client.once('close', leave);
    guest.setTimeout(SILENCE_MS, () => guest.destroy(new Error(`no answer within ${SILENCE_MS} ms`)));
    guest.once('error', (error) => {
      settled();
      reject(error);
    });
    guest.once('connect', () => {
      settled();
      guest.removeAllListeners('error');
      resolve(guest);
    });
  });
}
