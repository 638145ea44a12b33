import { z } from 'zod';
import { blobViewSchema } from '../blobs.ts';
import { secretValueSchema, secretViewSchema } from '../secrets.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

/** What modules are given: contents of local files, and secrets. */
export const INPUTS = {
  putBlob: {
    method: 'put',
    path: '/api/v1/blobs/{sha256}',
    params: requests.contentParamsSchema,
    summary:
      'Send the content of a local file (201; 200 when the farm has it). It is kept when it has that hash. An upload that was cut goes on with `Content-Range`.',
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
      'Whether the farm has a content (HEAD too); `NotFound` (404) until it is whole. `Upload-Offset` says how many bytes are there.',
    role: 'builder',
    answers: { 200: { schema: blobViewSchema } },
  },
  setSecret: {
    method: 'put',
    path: '/api/v1/secrets/{name}',
    params: requests.secretParamsSchema,
    summary: 'Keep the value of a secret (201), in the place of its former one (200).',
    role: 'admin',
    answers: { 201: { schema: secretViewSchema }, 200: { schema: secretViewSchema } },
    body: secretValueSchema,
    bodyType: 'text/plain',
    isAudited: true,
  },
  listSecrets: {
    method: 'get',
    path: '/api/v1/secrets',
    summary: 'The secrets by name, without their values, which nothing ever answers.',
    role: 'builder',
    answers: { 200: { schema: z.object({ secrets: z.array(secretViewSchema) }) } },
  },
  removeSecret: {
    method: 'delete',
    path: '/api/v1/secrets/{name}',
    params: requests.secretParamsSchema,
    summary: 'Forget a secret. Builds that were accepted keep it until they end.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
} as const satisfies Operations;
