import { z } from 'zod';
import { blobViewSchema } from '../blobs.ts';
import { secretValueSchema, secretViewSchema } from '../secrets.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

/** Inputs of modules: contents of local files, and secrets. */
export const INPUTS = {
  putBlob: {
    method: 'put',
    path: '/api/v1/blobs/{sha256}',
    params: requests.contentParamsSchema,
    summary:
      'Upload the content of a local file (201; 200 when the farm has it). It is stored only if its hash matches. An interrupted upload resumes with `Content-Range`.',
    role: 'builder',
    answers: { 201: { schema: blobViewSchema }, 200: { schema: blobViewSchema } },
    body: 'content',
    headers: requests.uploadHeadersSchema,
    isAudited: true,
  },
  readBlob: {
    method: 'get',
    path: '/api/v1/blobs/{sha256}',
    params: requests.contentParamsSchema,
    summary:
      'Whether the farm has a content (also by HEAD); `NotFound` (404) until it is complete. `Upload-Offset` is the number of bytes received.',
    role: 'builder',
    answers: { 200: { schema: blobViewSchema } },
  },
  setSecret: {
    method: 'put',
    path: '/api/v1/secrets/{name}',
    params: requests.secretParamsSchema,
    summary: 'Set the value of a secret (201 for a new one, 200 for a replaced one).',
    role: 'admin',
    answers: { 201: { schema: secretViewSchema }, 200: { schema: secretViewSchema } },
    body: secretValueSchema,
    bodyType: 'text/plain',
    isAudited: true,
  },
  listSecrets: {
    method: 'get',
    path: '/api/v1/secrets',
    summary: 'The secrets by name; values are never returned.',
    role: 'builder',
    answers: { 200: { schema: z.object({ secrets: z.array(secretViewSchema) }) } },
  },
  removeSecret: {
    method: 'delete',
    path: '/api/v1/secrets/{name}',
    params: requests.secretParamsSchema,
    summary: 'Remove a secret. Accepted builds keep it until they end.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
} as const satisfies Operations;
