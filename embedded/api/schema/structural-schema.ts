import { isJsonObject, type JsonObject } from '../objects.ts';

/** Violations of an object's schema. */
export interface SchemaReport {
  /** Paths of fields that the schema does not know, such as `spec.template.spec.cpus`. */
  readonly unknownFields: string[];
  readonly faults: SchemaFault[];
}

/** One field that does not fit the schema, in the words of apiserver. */
export interface SchemaFault {
  readonly field: string;
  readonly reason: 'FieldValueInvalid' | 'FieldValueRequired' | 'FieldValueNotSupported';
  readonly message: string;
}

/** Fields that every object has besides those of its schema. */
const TYPE_META = ['apiVersion', 'kind', 'metadata'];
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Checks an object against a structural schema (apiextensions v1): types, required, enum, pattern, limits, formats,
 * int-or-string and unknown fields. Rules in CEL are not part of it; admission has those that matter as code.
 */
export function checkSchema(object: JsonObject, schema: JsonObject): SchemaReport {
  const report: SchemaReport = { unknownFields: [], faults: [] };
  const { apiVersion: _, kind: __, metadata: ___, ...content } = object;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const own = Object.fromEntries(Object.entries(properties).filter(([name]) => !TYPE_META.includes(name)));
  check(content, { ...schema, properties: own }, { path: '', report });
  return report;
}

/** Checks any value against a schema; paths begin with the given one. */
export function checkValue(value: unknown, schema: JsonObject, path: string): SchemaReport {
  const report: SchemaReport = { unknownFields: [], faults: [] };
  check(value, schema, { path, report });
  return report;
}

interface Position {
  readonly path: string;
  readonly report: SchemaReport;
}

function child(at: Position, step: string | number): Position {
  const path = typeof step === 'number' ? `${at.path}[${step}]` : at.path === '' ? step : `${at.path}.${step}`;
  return { path, report: at.report };
}

function fault(at: Position, message: string, reason: SchemaFault['reason'] = 'FieldValueInvalid'): void {
  at.report.faults.push({ field: at.path, reason, message });
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (Number.isInteger(value)) return 'integer';
  return typeof value;
}

function hasType(value: unknown, type: unknown): boolean {
  const actual = typeName(value);
  return actual === type || (type === 'number' && actual === 'integer');
}

function check(value: unknown, schema: JsonObject, at: Position): void {
  if (value === null && schema['nullable'] === true) return;
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (!Number.isInteger(value) && typeof value !== 'string') {
      fault(
        at,
        `Invalid value: "${typeName(value)}": ${at.path} in body must be of type integer,string: "${typeName(value)}"`,
      );
      refuseFields(value, at);
      return;
    }
  } else if (schema['type'] !== undefined && !hasType(value, schema['type'])) {
    fault(
      at,
      `Invalid value: "${typeName(value)}": ${at.path} in body must be of type ${String(schema['type'])}: "${typeName(value)}"`,
    );
    // A value that should not be an object has no known fields.
    if (isJsonObject(value)) for (const name of Object.keys(value)) at.report.unknownFields.push(child(at, name).path);
    return;
  }
  checkEnum(value, schema, at);
  if (typeof value === 'string') checkString(value, schema, at);
  else if (typeof value === 'number') checkNumber(value, schema, at);
  else if (Array.isArray(value)) checkArray(value, schema, at);
  else if (isJsonObject(value)) checkObject(value, schema, at);
}

/** A value that should not be an object has no known fields. */
function refuseFields(value: unknown, at: Position): void {
  if (isJsonObject(value)) for (const name of Object.keys(value)) at.report.unknownFields.push(child(at, name).path);
}

function checkEnum(value: unknown, schema: JsonObject, at: Position): void {
  const allowed = schema['enum'];
  if (!Array.isArray(allowed) || allowed.includes(value)) return;
  const listed = allowed.map((item) => JSON.stringify(item)).join(', ');
  fault(at, `Unsupported value: ${JSON.stringify(value)}: supported values: ${listed}`, 'FieldValueNotSupported');
}

function checkString(value: string, schema: JsonObject, at: Position): void {
  const { pattern, minLength, maxLength, format } = schema;
  if (typeof pattern === 'string' && !new RegExp(pattern).test(value)) {
    fault(at, `Invalid value: ${JSON.stringify(value)}: ${at.path} in body should match '${pattern}'`);
  }
  if (typeof minLength === 'number' && value.length < minLength) {
    fault(at, `Invalid value: ${JSON.stringify(value)}: ${at.path} in body should be at least ${minLength} chars long`);
  }
  if (typeof maxLength === 'number' && value.length > maxLength) {
    fault(at, `Too long: may not be more than ${maxLength} bytes`);
  }
  if (format === 'byte' && !BASE64.test(value)) fault(at, `${at.path} in body must be base64`);
  if (format === 'date-time' && Number.isNaN(Date.parse(value))) {
    fault(
      at,
      `Invalid value: ${JSON.stringify(value)}: ${at.path} in body must be of type date-time: ${JSON.stringify(value)}`,
    );
  }
}

function checkNumber(value: number, schema: JsonObject, at: Position): void {
  const { minimum, maximum, format } = schema;
  if (typeof minimum === 'number' && value < minimum) {
    fault(at, `Invalid value: ${value}: ${at.path} in body should be greater than or equal to ${minimum}`);
  }
  if (typeof maximum === 'number' && value > maximum) {
    fault(at, `Invalid value: ${value}: ${at.path} in body should be less than or equal to ${maximum}`);
  }
  if (format === 'int32' && (value > 0x7fffffff || value < -0x80000000)) {
    fault(at, `Invalid value: ${value}: ${at.path} in body must be of type int32`);
  }
}

function checkArray(value: readonly unknown[], schema: JsonObject, at: Position): void {
  const { maxItems, minItems, items } = schema;
  if (typeof maxItems === 'number' && value.length > maxItems) {
    fault(at, `Too many: ${value.length}: must have at most ${maxItems} items`);
  }
  if (typeof minItems === 'number' && value.length < minItems) {
    fault(at, `Invalid value: ${value.length}: ${at.path} in body should have at least ${minItems} items`);
  }
  if (isJsonObject(items)) for (const [index, item] of value.entries()) check(item, items, child(at, index));
  checkListKeys(value, schema, at);
}

function checkListKeys(value: readonly unknown[], schema: JsonObject, at: Position): void {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (!Array.isArray(keys)) return;
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    const identity = JSON.stringify(keys.map((key) => (isJsonObject(item) ? item[String(key)] : undefined)));
    if (seen.has(identity)) fault(child(at, index), `Duplicate value: ${identity}`);
    seen.add(identity);
  }
}

function checkObject(value: JsonObject, schema: JsonObject, at: Position): void {
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const { additionalProperties } = schema;
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  for (const name of required) {
    if (!Object.hasOwn(value, String(name))) fault(child(at, String(name)), 'Required value', 'FieldValueRequired');
  }
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true || additionalProperties === true;
  for (const [name, content] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (isJsonObject(known)) check(content, known, child(at, name));
    else if (!isOpen) at.report.unknownFields.push(child(at, name).path);
  }
}
