import { parseQuantity } from '../../text/quantity.ts';
import { type Parsed, quoted } from './parsed.ts';

/** Reads a size as a Kubernetes quantity (`4Gi`, `500M`, plain bytes), in whole bytes, rounded up. */
export function parseBytes(written: unknown): Parsed<number> {
  const quantity = parseQuantity(written);
  if (quantity === undefined || quantity < 0)
    return { complaint: `${quoted(written)} is not a size: write ${likelySize(written)}` };
  const bytes = Math.ceil(quantity);
  if (bytes <= 0) return { complaint: `${quoted(written)} is not a size: write one such as "4Gi"` };
  return Number.isSafeInteger(bytes) ? { value: bytes } : { complaint: `${quoted(written)} is too large` };
}

/** Less than this no memory and no disk has: a number without a unit was meant to have one. */
const LEAST_BYTES = 2 ** 20;

/** The largest disk that clouds and file systems of clusters have: 64 TiB. */
const MOST_BYTES = 2 ** 46;

/**
 * Reads the size of a memory or a disk as a Kubernetes quantity; below 1 MiB or above 64 TiB it is a slip, and never what
 * was meant.
 */
export function parseCapacity(written: unknown): Parsed<number> {
  const parsed = parseBytes(written);
  if ('value' in parsed && parsed.value > MOST_BYTES) {
    return { complaint: `${quoted(written)} is more than 64Ti, the most that a disk or a memory can have` };
  }
  if ('complaint' in parsed || parsed.value >= LEAST_BYTES) return parsed;
  const number = /^\d+(\.\d+)?$/.exec(String(written))?.[0];
  const meant = `write "${number}Mi" for mebibytes or "${number}Gi" for gibibytes`;
  if (number !== undefined) return { complaint: `${quoted(written)} has no unit and means ${number} bytes: ${meant}` };
  const milli = /^(\d+(?:\.\d+)?)m$/.exec(String(written))?.[1];
  if (milli !== undefined) return { complaint: `${quoted(written)} means thousandths of a byte: write "${milli}Mi"` };
  return { complaint: `${quoted(written)} is less than 1Mi: write a larger unit, such as "512Mi" or "20Gi"` };
}

/** Reads processors as a Kubernetes quantity (`2`, `0.5`, `500m`), to a thousandth. */
export function parseCpu(written: unknown): Parsed<number> {
  const quantity = parseQuantity(written);
  if (quantity === undefined || quantity < 0)
    return { complaint: `${quoted(written)} is not a number of CPUs: write "2", "0.5" or "500m"` };
  const cpu = Math.ceil(Number((quantity * 1000).toFixed(3))) / 1000;
  return cpu > 0 && cpu <= 4096
    ? { value: cpu }
    : { complaint: `${quoted(written)} CPUs are not possible: write "1" or more, 4096 at most` };
}

function likelySize(written: unknown): string {
  const spoken = /^(\d+(?:\.\d+)?)\s*([kmgt])(i?b?|ib?)?$/i.exec(String(written).trim());
  return spoken ? `"${spoken[1]}${(spoken[2] ?? '').toUpperCase()}i"` : 'one such as "512Mi" or "20Gi"';
}
