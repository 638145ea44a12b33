import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';

/** The JSON objects of a list; anything else in it is the schema's business. */
export function itemsOf(owner: unknown, ...path: string[]): JsonObject[] {
  const list = fieldAt(owner, ...path);
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}
