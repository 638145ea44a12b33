import { isJsonObject, type JsonObject } from '../objects.ts';

/** A copy of a value in which absent fields have the defaults of the schema. */
export function withSchemaDefaults(value: unknown, schema: unknown): unknown {
  if (!isJsonObject(schema)) return value;
  if (Array.isArray(value)) return value.map((item) => withSchemaDefaults(item, schema['items']));
  if (!isJsonObject(value)) return value;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const result: JsonObject = {};
  for (const [name, content] of Object.entries(value)) {
    result[name] = withSchemaDefaults(content, properties[name] ?? schema['additionalProperties']);
  }
  for (const [name, known] of Object.entries(properties)) {
    if (isJsonObject(known) && 'default' in known && !Object.hasOwn(result, name)) {
      result[name] = structuredClone(known['default']);
    }
  }
  return result;
}
