/**
 * The final state of a line on a terminal. Progress bars go back to its start with a carriage return and write it
 * again: the last one counts.
 */
export function lastState(line: string): string {
  const whole = line.replace(/\r+$/, '');
  return whole.slice(whole.lastIndexOf('\r') + 1);
}
