import { FarmError } from '../common/errors/farm-error.ts';
import { parseQuantity } from '../common/text/quantity.ts';

/** The value of a quantity of an object that was admitted. @throws InvalidRequest when it is none after all, or negative */
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
