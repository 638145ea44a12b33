const CONCURRENCY = 8;

/** Does the same with every item, a few at a time; results are in the order of the items. */
export async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += CONCURRENCY) {
    results.push(...(await Promise.all(items.slice(from, from + CONCURRENCY).map(work))));
  }
  return results;
}
