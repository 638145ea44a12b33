import { z } from 'zod';
import type { Answer, Operation } from './operation.ts';

const TEXT: Answer = { mediaType: 'text/plain' };
const HTML: Answer = { mediaType: 'text/html' };

/** The process itself: metrics, descriptions, probes. */
export const SERVICE: readonly Operation[] = [
  {
    id: 'readMetrics',
    method: 'get',
    path: '/metrics',
    summary: 'Metrics of the farm in the text format of Prometheus.',
    role: 'viewer',
    answers: { 200: TEXT },
  },
  {
    id: 'readModuleSchema',
    method: 'get',
    path: '/schemas/module.json',
    summary: 'JSON Schema of module files.',
    role: 'viewer',
    answers: { 200: { mediaType: 'application/schema+json', schema: z.looseObject({}) } },
  },
  {
    id: 'readDescription',
    method: 'get',
    path: '/api/openapi.json',
    summary: 'This description (OpenAPI 3.1).',
    role: 'viewer',
    answers: { 200: { schema: z.looseObject({ openapi: z.string() }) } },
  },
  {
    id: 'readReference',
    method: 'get',
    path: '/api',
    summary: 'This description as a page.',
    role: 'viewer',
    answers: { 200: HTML },
  },
  {
    id: 'isAlive',
    method: 'get',
    path: '/healthz',
    summary: 'The process runs.',
    role: null,
    answers: { 200: TEXT },
  },
  {
    id: 'isReady',
    method: 'get',
    path: '/readyz',
    summary: 'The process takes requests (200), or not now (503).',
    role: null,
    answers: { 200: TEXT, 503: TEXT },
  },
];
