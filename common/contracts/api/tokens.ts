import { z } from 'zod';
import {
  createdTokenSchema,
  identitySchema,
  signInCodeSchema,
  tokenRequestSchema,
  tokenViewSchema,
} from '../tokens.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

/** Identity of callers: tokens and sign-in. */
export const TOKENS = {
  readIdentity: {
    method: 'get',
    path: '/api/v1/whoami',
    summary: 'The name and role of the token of the request.',
    role: 'viewer',
    answers: { 200: { schema: identitySchema } },
  },
  createSignInCode: {
    method: 'post',
    path: '/api/v1/sign-in-codes',
    summary:
      'Create a code for a link: `/sign-in?code=CODE&to=/PATH` signs a browser in with the token of the request, once.',
    role: 'viewer',
    answers: { 201: { schema: signInCodeSchema } },
    isAudited: true,
  },
  createToken: {
    method: 'post',
    path: '/api/v1/tokens',
    summary: 'Create a token. Only this answer contains it.',
    role: 'admin',
    answers: { 201: { schema: createdTokenSchema } },
    body: tokenRequestSchema,
    isAudited: true,
  },
  listTokens: {
    method: 'get',
    path: '/api/v1/tokens',
    summary: 'The valid tokens other than the one of the configuration, by name only.',
    role: 'admin',
    answers: { 200: { schema: z.object({ tokens: z.array(tokenViewSchema) }) } },
  },
  revokeToken: {
    method: 'delete',
    path: '/api/v1/tokens/{name}',
    params: requests.tokenParamsSchema,
    summary: 'Revoke a token.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
} as const satisfies Operations;
