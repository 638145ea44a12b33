import type { z } from 'zod';

type Schema = z.core.JSONSchema.BaseSchema | boolean;

/** A JSON Schema in a notation like that of TypeScript, for people. */
export function typeText(schema: Schema, indent = ''): string {
  if (typeof schema === 'boolean') return 'unknown';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants) return [...new Set(variants.map((variant) => typeText(variant, indent)))].join(' | ');
  if (schema.type === 'array') return arrayText(schema, indent);
  if (schema.type === 'object') return objectText(schema, indent);
  return Array.isArray(schema.type) ? schema.type.join(' | ') : (schema.type ?? 'unknown');
}

function arrayText({ items, prefixItems }: z.core.JSONSchema.BaseSchema, indent: string): string {
  const item = (Array.isArray(items) ? items[0] : items) ?? prefixItems?.[0] ?? true;
  const text = typeText(item, indent);
  const isUnion = typeof item === 'object' && (item.anyOf ?? item.oneOf ?? item.enum) !== undefined;
  return isUnion ? `(${text})[]` : `${text}[]`;
}

function objectText(schema: z.core.JSONSchema.BaseSchema, indent: string): string {
  const { properties, required = [], additionalProperties } = schema;
  const entries = Object.entries(properties ?? {});
  const inner = `${indent}  `;
  if (entries.length === 0) return `{ [name: string]: ${typeText(additionalProperties ?? true, inner)} }`;
  const lines = entries.map(
    ([name, property]) =>
      `${inner}${isName(name) ? name : JSON.stringify(name)}${required.includes(name) ? '' : '?'}: ${typeText(property, inner)};`,
  );
  return `{\n${lines.join('\n')}\n${indent}}`;
}

function isName(text: string): boolean {
  return /^[A-Za-z_]\w*$/.test(text);
}
