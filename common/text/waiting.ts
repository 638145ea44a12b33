import { printable } from './printable.ts';

/** What a phase tries and how that goes: `SSH 10.0.2.2:22: no route to host, 34 tries`. */
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
