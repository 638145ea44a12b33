import { fieldAt, isJsonObject, type JsonObject } from './objects.ts';

/** The items of the list at a path; none when there is something else. */
export function listAt(owner: unknown, ...path: readonly string[]): readonly unknown[] {
  const list = fieldAt(owner, ...path);
  return Array.isArray(list) ? list : [];
}

/** The JSON objects of the list at a path; anything else in it is the schema's business. */
export function itemsOf(owner: unknown, ...path: readonly string[]): JsonObject[] {
  return listAt(owner, ...path).filter(isJsonObject);
}

/** The strings of the list at a path; anything else in it is the schema's business. */
export function stringsOf(owner: unknown, ...path: readonly string[]): string[] {
  return listAt(owner, ...path).filter((item) => typeof item === 'string');
}
