import { printable } from './printable.ts';

/** A retried operation with its progress: `SSH 10.0.2.2:22: no route to host, 34 tries`. */
export function waitingWords({
  what,
  error,
  tries,
}: {
  readonly what: string;
  readonly error: string | null;
  readonly tries: number;
}): string {
  return `${what}: ${printable(error ?? 'answered')}, ${tries} ${tries === 1 ? 'try' : 'tries'}`;
}
