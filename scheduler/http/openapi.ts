import { z } from 'zod';
import type { Answer, Operation } from '../../common/contracts/api/operation.ts';
import { type NamedOperation, OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { submissionSchema } from '../../common/contracts/api/submission.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { ERRORS } from '../../common/errors/error-table.ts';

const problem = problemDetailsSchema.extend({ code: z.enum(Object.keys(ERRORS)) });

/** The description of the API (OpenAPI 3.1), from the schemas that validate. */
export function openApi(): { readonly openapi: string; readonly [field: string]: unknown } {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATION_LIST) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(operation) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Slipway', version: '1', description: 'A build farm for layered virtual-machine images.' },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: jsonSchema(problem, 'output') },
    },
  };
}

/** JSON Schema of one of the API's schemas: as it is sent (`input`), or as it is answered (`output`). */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): z.core.JSONSchema.BaseSchema {
  const { $schema, '~standard': _standard, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

/** Where an operation takes what, in the words of OpenAPI. */
export function parametersOf({ params, query, headers }: NamedOperation): readonly Parameter[] {
  return [...parametersIn('path', params), ...parametersIn('query', query), ...parametersIn('header', headers)];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: z.core.JSONSchema.BaseSchema;
}

/** Headers of HTTP itself are for client libraries, not for their callers. */
const OF_HTTP = ['content-length'];

function parametersIn(place: string, schema: z.ZodObject | undefined): Parameter[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input');
  return Object.entries(properties).flatMap(([name, property]) => {
    if (typeof property === 'boolean' || OF_HTTP.includes(name)) return [];
    const { description, ...rest } = property;
    const described = description === undefined ? {} : { description };
    return [{ name, in: place, required: required.includes(name), ...described, schema: rest }];
  });
}

function describe(operation: NamedOperation): object {
  const { id, summary, role, answers, body, bodyType } = operation;
  const refusal = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  const refused = { description: 'Refused; `code` states the reason, `solve` how to solve it.', content: refusal };
  return {
    operationId: id,
    summary,
    ...(role === null ? { security: [] } : { description: `Needs the role ${role}.`, 'x-role': role }),
    parameters: parametersOf(operation),
    ...(body ? { requestBody: { required: isRequired(body), content: bodyContent(body, bodyType) } } : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, { description: summary, ...content(answer) }]),
      ),
      ...(role === null ? {} : { default: refused }),
    },
  };
}

function isRequired(body: NonNullable<Operation['body']>): boolean {
  return typeof body === 'string' || !body.safeParse(undefined).success;
}

function content({ schema, mediaType = 'application/json' }: Answer): object {
  if (mediaType === null) return {};
  if (!schema) return { content: { [mediaType]: {} } };
  const shape = jsonSchema(schema, 'output');
  return { content: { [mediaType]: { schema: mediaType === 'text/event-stream' ? eventOf(shape) : shape } } };
}

/** One server-sent event, as OpenAPI 3.2 describes them: its `data` is JSON. */
function eventOf(contentSchema: object): object {
  const data = { type: 'string', contentMediaType: 'application/json', contentSchema };
  return { type: 'object', required: ['data'], properties: { id: { type: 'string' }, data } };
}

function bodyContent(body: NonNullable<Operation['body']>, type = 'application/json'): object {
  if (body === 'content')
    return { 'application/octet-stream': { schema: { type: 'string', description: 'The content.' } } };
  if (body !== 'modules') return { [type]: { schema: jsonSchema(body, 'input') } };
  const document = { description: 'One or more documents; see /schemas/module.json.', type: 'string' };
  return {
    'application/yaml': { schema: document },
    'application/json': { schema: jsonSchema(submissionSchema, 'input') },
  };
}
