import { setMaxListeners } from 'node:events';

/**
 * Any number may listen to the signal: that is not a leak. Infinite instead of 0, which means the same to Node: its version
 * 20 then throws where a library (undici's `fetch`) asks for the limit.
 */
export function allowManyListeners(signal: AbortSignal): void {
  setMaxListeners(Number.POSITIVE_INFINITY, signal);
}
