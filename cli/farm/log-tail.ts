import { printable } from '../../common/text/printable.ts';

/** Readable form of a log line: a JSON line of a process of the farm as its sentence, others unchanged. */
export function readableLine(line: string): string {
  const entry = parseEntry(line);
  if (typeof entry?.msg !== 'string') return printable(line);
  return printable(entry.err?.message === undefined ? entry.msg : `${entry.msg}: ${entry.err.message}`);
}

/** The code of the error that a JSON line carries, e.g. `EADDRINUSE`; undefined when it carries none. */
export function errorCodeOf(line: string): string | undefined {
  const code = parseEntry(line)?.err?.code;
  return typeof code === 'string' ? code : undefined;
}

interface Entry {
  readonly msg?: unknown;
  readonly err?: { readonly message?: string; readonly code?: unknown };
}

function parseEntry(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
}
