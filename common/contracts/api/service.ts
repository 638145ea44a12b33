import { z } from 'zod';
import type { Answer, Operations } from './operation.ts';

const TEXT: Answer = { mediaType: 'text/plain' };
const HTML: Answer = { mediaType: 'text/html' };

/** The process itself: metrics, descriptions, probes. */
export const SERVICE = {
  readMetrics: {
    method: 'get',
    path: '/metrics',
    summary: 'Metrics of the farm in the text format of Prometheus.',
    role: 'viewer',
    answers: { 200: TEXT },
  },
  readModuleSchema: {
    method: 'get',
    path: '/schemas/module.json',
    summary: 'JSON Schema of module files.',
    role: 'viewer',
    answers: { 200: { mediaType: 'application/schema+json', schema: z.looseObject({}) } },
  },
  readDescription: {
    method: 'get',
    path: '/api/openapi.json',
    summary: 'This description (OpenAPI 3.1).',
    role: 'viewer',
    answers: { 200: { schema: z.looseObject({ openapi: z.string() }) } },
  },
  readReference: {
    method: 'get',
    path: '/api',
    summary: 'This description as a page.',
    role: 'viewer',
    answers: { 200: HTML },
  },
  isAlive: {
    method: 'get',
    path: '/healthz',
    summary: 'The process runs.',
    role: null,
    answers: { 200: TEXT },
  },
  isReady: {
    method: 'get',
    path: '/readyz',
    summary: 'Whether the process takes requests (200) or not (503).',
    role: null,
    answers: { 200: TEXT, 503: TEXT },
  },
} as const satisfies Operations;
