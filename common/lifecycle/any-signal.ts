const SOURCES = new WeakMap<AbortSignal, readonly AbortSignal[]>();

/**
 * Aborted with the first of these that is. It holds them as long as it is held itself, which `AbortSignal.any` alone does not:
 * Node.js 20 forgets time-outs among them with the next garbage collection (nodejs/node#57736), 22 some that are composed
 * themselves, and 24 and 26 up to 26.9 an abort that nobody had listened for (nodejs/node#65995).
 */
export function anySignal(...signals: readonly AbortSignal[]): AbortSignal {
  // biome-ignore lint/plugin: the one place that holds what it is given.
  const any = AbortSignal.any([...signals]);
  SOURCES.set(any, signals);
  return any;
}
