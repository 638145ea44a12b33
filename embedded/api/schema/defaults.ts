import { isJsonObject, type JsonObject } from '../objects.ts';

/**
 * A copy of a value in which nulls are gone that the schema does not allow (apiserver prunes them before defaulting)
 * and absent fields have the defaults of the schema.
 */
export function withSchemaDefaults(value: unknown, schema: unknown): unknown {
  if (!isJsonObject(schema)) return value;
  if (Array.isArray(value)) return value.map((item) => withSchemaDefaults(item, schema['items']));
  if (!isJsonObject(value)) return value;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const result: JsonObject = {};
  for (const [name, content] of Object.entries(value)) {
    const known = properties[name] ?? schema['additionalProperties'];
    const mayBeNull = !isJsonObject(known) || known['nullable'] === true;
    if (content !== null || mayBeNull) result[name] = withSchemaDefaults(content, known);
  }
  for (const [name, known] of Object.entries(properties)) {
    if (isJsonObject(known) && 'default' in known && !Object.hasOwn(result, name)) {
      result[name] = structuredClone(known['default']);
    }
  }
  return result;
}
