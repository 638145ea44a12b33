import { isJsonObject, type JsonObject } from '../objects.ts';

/** A copy of a value without the parts that an API server drops: fields that the schema does not know, and nulls that it does not allow. */
export function pruned(value: unknown, schema: unknown): unknown {
  if (!isJsonObject(schema)) return value;
  if (Array.isArray(value)) return value.map((item) => pruned(item, schema['items']));
  if (!isJsonObject(value)) return value;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true || schema['additionalProperties'] === true;
  const result: JsonObject = {};
  for (const [name, content] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : schema['additionalProperties'];
    if (!isJsonObject(known)) {
      if (isOpen) result[name] = content;
    } else if (content !== null || known['nullable'] === true) result[name] = pruned(content, known);
  }
  return result;
}
