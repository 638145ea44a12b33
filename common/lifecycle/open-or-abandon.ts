import type { Duplex } from 'node:stream';

/**
 * Waits for a stream to be opened, or for the signal. An opening that is given up is not interrupted midway: it runs into
 * its own deadline, or its stream is destroyed when it comes. (ws cannot be stopped during its handshake.)
 */
export async function openOrAbandon(opening: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  const settled = new AbortController();
  const givenUp = new Promise<never>((_, reject) => {
    const onAbort = () => {
      opening.then(
        (stream) => stream.destroy(),
        () => {},
      );
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { signal: settled.signal });
  });
  try {
    return await Promise.race([opening, givenUp]);
  } finally {
    settled.abort();
  }
}
