/** Whether an event of a stream came after another one; ids are `<milliseconds>-<number>`, `0` is before all. */
export function isAfter(id: string, other: string): boolean {
  const [ms, number] = partsOf(id);
  const [otherMs, otherNumber] = partsOf(other);
  return ms === otherMs ? number > otherNumber : ms > otherMs;
}

function partsOf(id: string): [number, number] {
  const [ms = '', number = '0'] = id.split('-');
  return [Number(ms), Number(number)];
}
