import { parseQuantity } from '../../../common/text/quantity.ts';
import { isJsonObject, type JsonObject } from '../objects.ts';

/** Fields whose values, or those of their fields, are quantities. */
const QUANTITIES = new Set(['requests', 'limits', 'guest', 'maxGuest', 'capacity']);
/** Maps that are left out when they are empty. Others without content stand for themselves: `bridge: {}`. */
const MAPS = new Set(['annotations', 'labels', 'nodeSelector']);
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL = ['m', '', 'k', 'M', 'G', 'T', 'P', 'E'];

/**
 * Writes an object as virt-api stores it, whose Go types leave out empty lists and maps and have one form for each quantity.
 */
export function writeAsStored(object: JsonObject): void {
  for (const [field, value] of Object.entries(object)) {
    if (isEmptyList(value) || (MAPS.has(field) && isEmptyMap(value))) delete object[field];
    else if (QUANTITIES.has(field)) object[field] = isJsonObject(value) ? ofEach(value) : canonical(value);
    else for (const part of Array.isArray(value) ? value : [value]) if (isJsonObject(part)) writeAsStored(part);
  }
}

function ofEach(quantities: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(quantities).map(([name, value]) => [name, canonical(value)]));
}

/** The whole number with the largest suffix: `2500m` for 2.5, `1Gi` for 1024Mi. Values finer than thousandths stay unchanged. */
function canonical(written: unknown): unknown {
  const value = parseQuantity(written);
  if (value === undefined) return written;
  const isBinary = typeof written === 'string' && written.endsWith('i') && Number.isInteger(value);
  const [suffixes, base, smallest] = isBinary ? [BINARY, 1024, value] : [DECIMAL, 1000, value * 1000];
  if (!Number.isSafeInteger(smallest)) return written;
  let [number, suffix] = [smallest, 0];
  while (number !== 0 && number % base === 0 && suffix < suffixes.length - 1)
    [number, suffix] = [number / base, suffix + 1];
  return number === 0 ? '0' : `${number}${suffixes[suffix]}`;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function isEmptyMap(value: unknown): boolean {
  return isJsonObject(value) && Object.keys(value).length === 0;
}
