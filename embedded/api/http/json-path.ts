import { fieldAt, isJsonObject } from '../objects.ts';

const FILTER = /^\[\?\(@\.([\w.]+)\s*==\s*['"]([^'"]*)['"]\)\](.*)$/;
const INDEX = /^\[(\d+)\](.*)$/;
const FIELD = /^\.([\w-]+)(.*)$/;

/**
 * Reads the subset of JSONPath that printer columns use: `.a.b`, `[0]`, `[?(@.type=="Ready")]`.
 * Undefined when absent.
 */
export function readJsonPath(value: unknown, path: string): unknown {
  if (path === '' || value === undefined) return value;
  const field = FIELD.exec(path);
  if (field) return readJsonPath(isJsonObject(value) ? value[field[1] ?? ''] : undefined, field[2] ?? '');
  const index = INDEX.exec(path);
  if (index) return readJsonPath(Array.isArray(value) ? value[Number(index[1])] : undefined, index[2] ?? '');
  const filter = FILTER.exec(path);
  if (filter && Array.isArray(value)) {
    const [, name = '', expected, rest = ''] = filter;
    const found: unknown = value.find((item) => String(fieldAt(item, ...name.split('.'))) === expected);
    return readJsonPath(found, rest);
  }
  return undefined;
}
