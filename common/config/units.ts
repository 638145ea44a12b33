import { z } from 'zod';

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const BINARY = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 } as const;

/** A Go-style duration (`90s`, `1h30m`, `0`) as milliseconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g);
  return Math.round([...parts].reduce((sum, [, n, unit]) => sum + Number(n) * (DURATION_UNITS[unit ?? ''] ?? 0), 0));
}

/** A quantity of bytes in the Kubernetes notation with binary suffix (`512Mi`, `4Gi`); undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti)?$/.exec(text);
  if (!match) return undefined;
  return Math.round(Number(match[1]) * BINARY[(match[2] ?? 'Ki') as keyof typeof BINARY] * (match[2] ? 1 : 1 / 1024));
}

/** Option that is written as a duration and read as milliseconds. */
export const milliseconds = z.string().transform((text, context) => {
  const value = parseDuration(text);
  if (value === undefined) context.addIssue(`"${text}" is not a duration such as 90s, 30m or 1h30m`);
  return value ?? z.NEVER;
});

/** Option that is written as a quantity and read as bytes. */
export const bytes = z.string().transform((text, context) => {
  const value = parseBytes(text);
  if (value === undefined) context.addIssue(`"${text}" is not a size such as 512Mi or 4Gi`);
  return value ?? z.NEVER;
});
