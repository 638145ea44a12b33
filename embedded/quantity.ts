import { FarmError } from '../common/errors/farm-error.ts';

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** The value of a Kubernetes quantity such as `10Gi`, `500m` or `1e3`; undefined when it is none. */
export function parseQuantity(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const match = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z]*)$/.exec(String(value).trim());
  const factor = SUFFIXES[match?.[2] ?? '?'];
  return match && factor !== undefined ? Number(match[1]) * factor : undefined;
}

/** As `parseQuantity`, of an object that was admitted. @throws InvalidRequest when it is none after all, or negative */
export function requireQuantity(value: unknown): number {
  const quantity = parseQuantity(value);
  if (quantity === undefined || quantity < 0) {
    throw new FarmError('InvalidRequest', `"${String(value)}" is not a quantity`);
  }
  return quantity;
}

/** Bytes of a storage request, in whole sectors. @throws InvalidRequest */
export function parseStorageBytes(value: unknown): number {
  return Math.ceil(requireQuantity(value) / 512) * 512;
}
