/**
 * `fetch` that trusts these authorities (PEM) and no others. The library is loaded only where it is needed: most farms do not, and the
 * command line starts faster without it.
 */
export async function trustingFetch(authorities: readonly string[]): Promise<typeof fetch> {
  const undici = await import('undici');
  const dispatcher = new undici.Agent({ connect: { ca: [...authorities] } });
  // The types of the library and those of Node.js name the same standard twice.
  return ((input: string | URL, init?: object) => undici.fetch(input, { ...init, dispatcher })) as typeof fetch;
}
