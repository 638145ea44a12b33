/** Longer words are not names with a slip in them. */
const MAX_WORD = 64;
/** Comparing takes time: with more names than these, no suggestion is made. */
const MAX_COMPARISONS = 1_000_000;

/** `; did you mean "x"?` for the nearest of the known words, or their list when none is near and they are few. */
export function didYouMean(word: string, known: readonly string[]): string {
  if (word.length > MAX_WORD || known.length * word.length ** 2 > MAX_COMPARISONS) return '';
  const limit = Math.max(2, Math.floor(word.length / 3));
  const lower = word.toLowerCase();
  const near = known
    .filter((candidate) => Math.abs(candidate.length - word.length) <= limit)
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= limit && distance < Math.max(word.length, candidate.length))
    .sort((a, b) => a.distance - b.distance)[0];
  if (near) return `; did you mean "${near.candidate}"?`;
  return known.length > 0 && known.length <= 20 ? `; expected one of ${known.join(', ')}` : '';
}

/** Levenshtein distance, a swap of neighbours counted once. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
