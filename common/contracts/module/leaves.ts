import { z } from 'zod';
import { formatIpv4, formatIpv4Network } from '../../text/ipv4.ts';
import { parseCidr, readIpv4 } from './addresses.ts';
import { parseChecksum } from './checksum.ts';
import { parseAge, parseDuration } from './duration.ts';
import { parseLocation } from './location.ts';
import { type Parsed, quoted } from './parsed.ts';
import { parseCapacity, parseCpu } from './sizes.ts';
import { didYouMean } from './suggest.ts';

/** Description of a scalar for editors: keywords of JSON Schema. */
export type Facet = Readonly<Record<string, unknown>> & { readonly description: string };

/** Limit for words, numbers and addresses; free text is longer. */
const MAX_WORD_LENGTH = 8_192;

const VARIABLE_REFERENCE = { type: 'string', pattern: '\\$\\{var\\.' };

/**
 * A scalar of the file format: how it is read, and how editors see it. A variable may stand for any of them. `absent`
 * returns the complaint about a missing or empty one.
 */
export function leaf<T>(facet: Facet, read: (written: unknown) => Parsed<T>, absent: typeof absence = absence) {
  const { description, default: whenMissing, ...constraint } = facet;
  const isFreeText = constraint['type'] === 'string' && Object.keys(constraint).length === 1;
  const isFixed = Array.isArray(constraint['enum']) && constraint['enum'].length === 1;
  const mayBeVariable = !isFreeText && !isFixed && !constraint['anyOf'];
  const meta = mayBeVariable ? { anyOf: [constraint, VARIABLE_REFERENCE] } : constraint;
  return z
    .unknown()
    .transform((written, context): T => {
      const isLong = !isFreeText && typeof written === 'string' && written.length > MAX_WORD_LENGTH;
      const parsed = absent(written) ?? (isLong ? tooLong(written) : read(written));
      if ('value' in parsed) return parsed.value;
      context.issues.push({ code: 'custom', message: parsed.complaint, input: written });
      return z.NEVER;
    })
    .meta({ ...meta, ...(whenMissing === undefined ? {} : { default: whenMissing }), description });
}

function tooLong(written: string): { complaint: string } {
  return {
    complaint: `${quoted(written)} has ${written.length} characters: at most ${MAX_WORD_LENGTH} are allowed`,
  };
}

function absence(written: unknown): { complaint: string } | null {
  if (written === undefined) return { complaint: 'is required' };
  return written === null ? { complaint: 'has no value: write one, or remove the key' } : null;
}

export function text(description: string, extra: Readonly<Record<string, unknown>> = {}) {
  return leaf({ type: 'string', description, ...extra }, readText);
}

function readText(written: unknown): Parsed<string> {
  if (typeof written === 'string') return { value: written };
  if (Array.isArray(written)) return { complaint: 'must be text, and not a list' };
  if (typeof written === 'object') return { complaint: 'must be text: write it below a "|", or in quotes' };
  // Of a number only the value is known here: 1.10 is 1.1.
  return { complaint: `must be text: put ${typeof written === 'number' ? 'the number' : quoted(written)} in quotes` };
}

/** Text that must not be empty and must match. */
export function pattern(
  description: string,
  expression: RegExp,
  meaning: string,
  extra: Readonly<Record<string, unknown>> = {},
) {
  return leaf({ type: 'string', pattern: expression.source, description, ...extra }, (written) => {
    const read = readText(written);
    if ('complaint' in read || expression.test(read.value)) return read;
    return { complaint: `${quoted(written)} is not ${meaning}` };
  });
}

/** Names of modules and VMs. */
export const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const DNS_LABEL_MEANING = 'a DNS label: use at most 63 lower-case letters, digits and inner hyphens';

export function dnsLabel(description: string) {
  return pattern(description, DNS_LABEL, DNS_LABEL_MEANING);
}

/** `others` are values of other tools, with what to write in their place. */
export function choice<const T extends string>(
  description: string,
  values: readonly T[],
  whenMissing?: T,
  others: Readonly<Record<string, string>> = {},
) {
  return leaf({ enum: values, description, ...(whenMissing ? { default: whenMissing } : {}) }, (written): Parsed<T> => {
    const value = values.find((candidate) => candidate === written);
    if (value) return { value };
    const other = Object.hasOwn(others, String(written)) ? `; ${others[String(written)]}` : undefined;
    return { complaint: `${quoted(written)} is not an allowed value${other ?? didYouMean(String(written), values)}` };
  });
}

export function flag(description: string, whenMissing: boolean) {
  return leaf({ type: 'boolean', description, default: whenMissing }, (written) =>
    written === true || written === 'true'
      ? { value: true }
      : written === false || written === 'false'
        ? { value: false }
        : { complaint: `${quoted(written)} is not a boolean: write ${spokenFlag(written)}` },
  );
}

/** What YAML 1.1 and people write. */
function spokenFlag(written: unknown): string {
  if (/^(yes|y|on|1|enabled?)$/i.test(String(written))) return 'true';
  return /^(no|n|off|0|disabled?)$/i.test(String(written)) ? 'false' : 'true or false';
}

export function wholeNumber(description: string, range: { min: number; max: number; whenMissing?: number }) {
  const { min, max, whenMissing } = range;
  const facet = { type: 'integer', minimum: min, maximum: max, description };
  return leaf(whenMissing === undefined ? facet : { ...facet, default: whenMissing }, (written) => {
    const number = typeof written === 'string' && /^\d+$/.test(written) ? Number(written) : written;
    if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max)
      return { value: number };
    return { complaint: `${quoted(written)} is not a whole number from ${min} to ${max}` };
  });
}

/** Go duration to milliseconds. */
export function duration(description: string, whenMissing?: string) {
  return leaf(
    { type: 'string', description, examples: ['90s', '1h30m'], ...(whenMissing ? { default: whenMissing } : {}) },
    parseDuration,
  );
}

/** Go duration, or days or weeks, to milliseconds. */
export function age(description: string) {
  return leaf({ type: 'string', description, examples: ['7d', '36h'] }, parseAge);
}

/** Kubernetes quantity to bytes, for sizes of at least one mebibyte. */
export function bytes(description: string, whenMissing?: string) {
  const facet = { type: ['string', 'integer'], description, examples: ['512Mi', '20Gi'] };
  return leaf(whenMissing ? { ...facet, default: whenMissing } : facet, parseCapacity);
}

/** Kubernetes quantity to CPUs. */
export function cpu(description: string, whenMissing?: string) {
  const facet = { type: ['string', 'number'], description, examples: [2, '500m'] };
  return leaf(whenMissing ? { ...facet, default: whenMissing } : facet, parseCpu);
}

export function url(description: string) {
  return leaf({ type: 'string', pattern: '^[Hh][Tt][Tt][Pp][Ss]?://', description }, parseLocation);
}

export function checksum(description: string) {
  return leaf({ type: 'string', pattern: '^([a-z0-9]+:)?[0-9a-fA-F]+$', description }, parseChecksum);
}

/** IPv4 network in its normal form. */
export function cidr(description: string) {
  return leaf({ type: 'string', pattern: '^\\d+(\\.\\d+){3}/\\d+$', description }, (written): Parsed<string> => {
    const parsed = parseCidr(written);
    return 'value' in parsed ? { value: formatIpv4Network(parsed.value) } : parsed;
  });
}

export function ipv4(description: string) {
  return leaf({ type: 'string', format: 'ipv4', description }, (written): Parsed<string> => {
    const parsed = readIpv4(written);
    return 'value' in parsed ? { value: formatIpv4(parsed.value) } : parsed;
  });
}

/** Unicast hardware address, lower case and colon separated. */
export function mac(description: string) {
  return leaf({ type: 'string', pattern: '^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$', description }, (written) => {
    const normal = String(written).toLowerCase().replaceAll('-', ':');
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(normal)) {
      return { complaint: `${quoted(written)} is not a MAC address: write one such as "02:00:00:12:34:56" in quotes` };
    }
    if (/^[0:]+$/.test(normal)) return { complaint: `${quoted(written)} is the address of no card: write another one` };
    if (Number.parseInt(normal.slice(0, 2), 16) % 2 === 0) return { value: normal };
    return { complaint: `${quoted(written)} is a multicast address: the first byte of a NIC's MAC is even` };
  });
}
