import { FarmError } from '../../common/errors/farm-error.ts';

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

/** Reads a Kubernetes quantity such as `10Gi`, `500m` or `1e9` as a number of its base unit. */
export function parseQuantity(text: unknown): number {
  const match = /^(\d+(?:\.\d*)?|\.\d+)(?:([eE]-?\d+)|([a-zA-Z]*))$/.exec(String(text).trim());
  const factor = match ? SUFFIXES[match[3] ?? ''] : undefined;
  if (!match || factor === undefined) throw new FarmError('InvalidRequest', `"${String(text)}" is not a quantity`);
  return Number(`${match[1]}${match[2] ?? ''}`) * factor;
}

/** Bytes of a storage request, in whole sectors. */
export function parseStorageBytes(text: unknown): number {
  return Math.ceil(parseQuantity(text) / 512) * 512;
}
