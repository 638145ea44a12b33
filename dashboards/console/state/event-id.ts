/** Whether an event of a stream came after another one; ids are `<milliseconds>-<number>`, of lines of a log `<milliseconds>-<number>/<line>`; `0` is before all. */
export function isAfter(id: string, other: string): boolean {
  const parts = partsOf(id);
  const others = partsOf(other);
  const [first] = parts.flatMap((part, index) => (part === others[index] ? [] : [index]));
  return first !== undefined && (parts[first] ?? 0) > (others[first] ?? 0);
}

/** Milliseconds, a number, and that of a line; an entry stands for all of its lines. */
function partsOf(id: string): number[] {
  const [entry = '', line = 'Infinity'] = id.split('/');
  const [ms = '', number = '0'] = entry.split('-');
  return [ms, number, line].map(Number);
}
