import { z } from 'zod';
import { buildSummarySchema, buildViewSchema, clusterViewSchema } from '../../common/contracts/builds.ts';
import { farmEventSchema } from '../../common/contracts/events.ts';
import { layerRecordSchema } from '../../common/contracts/layers.ts';
import { planSchema } from '../../common/contracts/plans.ts';
import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { submissionQuerySchema, submissionSchema } from './read-submission.ts';

interface Operation {
  readonly method: 'get' | 'post';
  /** Below `/api/v1`; parameters in braces. */
  readonly path: string;
  readonly summary: string;
  readonly status: number;
  readonly answer?: z.ZodType;
  /** Media type of an answer that is no JSON. */
  readonly mediaType?: string;
  /** The body is a submission. */
  readonly takesModules?: boolean;
  readonly query?: z.ZodObject;
}

/** Every operation of the API; a test asks for each of them. */
export const OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/builds',
    summary: 'Build modules. With `wait` the answer (200) is the finished build.',
    status: 202,
    answer: z.object({ buildId: z.string(), plan: planSchema }),
    takesModules: true,
    query: submissionQuerySchema,
  },
  {
    method: 'post',
    path: '/plan',
    summary: 'What building modules would do now.',
    status: 200,
    answer: planSchema,
    takesModules: true,
    query: submissionQuerySchema,
  },
  {
    method: 'get',
    path: '/builds',
    summary: 'The latest builds, newest first.',
    status: 200,
    answer: z.object({ builds: z.array(buildSummarySchema) }),
    query: z.object({ limit: z.int().min(1).max(1000).default(100) }),
  },
  { method: 'get', path: '/builds/{id}', summary: 'One build.', status: 200, answer: buildViewSchema },
  {
    method: 'post',
    path: '/builds/{id}/cancel',
    summary: 'Cancel a build; work that nobody else wants stops.',
    status: 202,
    answer: z.object({ buildId: z.string(), cancelled: z.boolean() }),
  },
  {
    method: 'get',
    path: '/builds/{id}/events',
    summary: 'Events of a build as server-sent events, resumable by Last-Event-ID, until it has finished.',
    status: 200,
    answer: farmEventSchema,
    mediaType: 'text/event-stream',
  },
  {
    method: 'get',
    path: '/builds/{id}/logs',
    summary: 'The log lines among the events.',
    status: 200,
    answer: farmEventSchema,
    mediaType: 'text/event-stream',
  },
  {
    method: 'get',
    path: '/builds/{id}/vms/{vm}/screenshot',
    summary: 'The screen of a VM: live while it runs, else the picture that was kept.',
    status: 200,
    mediaType: 'image/png',
    query: z.object({ layerBuild: z.string().optional() }),
  },
  {
    method: 'get',
    path: '/images',
    summary: 'The finished layers, newest first.',
    status: 200,
    answer: z.object({ images: z.array(layerRecordSchema) }),
  },
  {
    method: 'get',
    path: '/clusters',
    summary: 'The clusters, what is used of them and who works there.',
    status: 200,
    answer: z.object({ clusters: z.array(clusterViewSchema) }),
  },
];

/** The description of the API (OpenAPI 3.1), from the schemas that validate. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const path = `/api/v1${operation.path}`;
    paths[path] = { ...paths[path], [operation.method]: describe(operation) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Slipway', version: '1', description: 'A build farm for layered virtual-machine images.' },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: schemaOf(problemDetailsSchema, 'output') },
    },
  };
}

function describe({ path, summary, status, answer, mediaType, takesModules, query }: Operation): object {
  const type = mediaType ?? 'application/json';
  const content = { [type]: { schema: answer ? schemaOf(answer, 'output') : { type: 'string', format: 'binary' } } };
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return {
    summary,
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(takesModules ? { requestBody: { required: true, content: moduleContent() } } : {}),
    responses: {
      [status]: { description: summary, content },
      default: { description: 'Refused; `code` says why, `solve` what to do.', content: problem },
    },
  };
}

function moduleContent(): object {
  const document = { description: 'One or more documents; see /schemas/module.json.', type: 'string' };
  return {
    'application/yaml': { schema: document },
    'application/json': { schema: schemaOf(submissionSchema, 'input') },
  };
}

function pathParameters(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodObject | undefined): object[] {
  if (!query) return [];
  const { properties = {} } = z.toJSONSchema(query, { io: 'input', unrepresentable: 'any' });
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
