import { z } from 'zod';
import { configSchema } from '../../common/config/schema.ts';
import { VALUES } from './values.ts';

type Schema = Readonly<Record<string, unknown>>;

const QUANTITY = { type: ['string', 'number'], pattern: '^[0-9.]+(m|k|[KMGTPE]i?)?$', exclusiveMinimum: 0 };
const QUANTITIES = { type: 'object', additionalProperties: QUANTITY };
const URL_OR_NOTHING = { type: 'string', pattern: '^(https?://.+)?$' };

/** What says more of a value than its default does, by path; `*` is any key. */
const RULES: Readonly<Record<string, Schema>> = {
  'image.pullPolicy': { enum: ['Always', 'IfNotPresent', 'Never'] },
  imagePullSecrets: objects(['name']),
  config: withoutDraft(z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })),
  farmNamespace: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' },
  'redis.url': { type: 'string', pattern: '^(rediss?://.+)?$' },
  'redis.storage': QUANTITY,
  'redis.resources': resources(),
  'blobs.accessMode': { enum: ['ReadWriteOnce', 'ReadWriteMany'] },
  'blobs.storage': QUANTITY,
  'blobs.url': URL_OR_NOTHING,
  'scheduler.replicas': { type: 'integer', minimum: 0 },
  'scheduler.resources': resources(),
  'workers.*.replicas': { type: 'integer', minimum: 0 },
  'workers.*.resources': resources(),
  'autoscaling.by': { enum: ['none', 'hpa', 'keda'] },
  'monitoring.interval': { type: 'string', pattern: '^([0-9]+(ms|s|m|h))+$' },
  nodeSelector: { type: 'object', additionalProperties: { type: 'string' } },
  tolerations: objects([]),
};

/** Text of `values.schema.json`: Helm refuses values that it does not describe, before anything reaches a cluster. */
export function valuesSchema(): string {
  const { properties, ...rest } = schemaOf(VALUES, []) as { properties: object };
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...rest,
    // Helm hands values of this key to charts inside of others.
    properties: { ...properties, global: { type: 'object' } },
    // One node at a time holds such a volume.
    if: { properties: { blobs: { properties: { accessMode: { const: 'ReadWriteOnce' } } } } },
    // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word
    then: { properties: { scheduler: { properties: { replicas: { maximum: 1 } } } } },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function schemaOf(value: unknown, path: readonly string[]): Schema {
  const rule = RULES[path.join('.')] ?? RULES[[path[0], '*', ...path.slice(2)].join('.')];
  if (rule) return rule;
  if (typeof value === 'string') return { type: 'string', minLength: 1 };
  if (typeof value === 'boolean') return { type: 'boolean' };
  if (typeof value === 'number') return { type: 'integer', minimum: 1 };
  const children = Object.entries(value as object).map(([key, child]) => [key, schemaOf(child, [...path, key])]);
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(children) };
}

function objects(required: readonly string[]): Schema {
  return { type: 'array', items: { type: 'object', required } };
}

function resources(): Schema {
  return { type: 'object', additionalProperties: false, properties: { requests: QUANTITIES, limits: QUANTITIES } };
}

function withoutDraft({ $schema: _draft, ...schema }: Schema): Schema {
  return schema;
}
