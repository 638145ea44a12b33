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

/** Who asks: tokens and sign-in. */
export const TOKENS = {
  readIdentity: {
    method: 'get',
    path: '/api/v1/whoami',
    summary: 'The token that asks: its name and role.',
    role: 'viewer',
    answers: { 200: { schema: identitySchema } },
  },
  createSignInCode: {
    method: 'post',
    path: '/api/v1/sign-in-codes',
    summary: 'Make a code for a link: `/sign-in?code=CODE&to=/PATH` signs a browser in as the token that asks, once.',
    role: 'viewer',
    answers: { 201: { schema: signInCodeSchema } },
    isAudited: true,
  },
  createToken: {
    method: 'post',
    path: '/api/v1/tokens',
    summary: 'Make a token. This answer is the only one that shows it.',
    role: 'admin',
    answers: { 201: { schema: createdTokenSchema } },
    body: tokenRequestSchema,
    isAudited: true,
  },
  listTokens: {
    method: 'get',
    path: '/api/v1/tokens',
    summary: 'The valid tokens beside the one of the configuration, without themselves.',
    role: 'admin',
    answers: { 200: { schema: z.object({ tokens: z.array(tokenViewSchema) }) } },
  },
  revokeToken: {
    method: 'delete',
    path: '/api/v1/tokens/{name}',
    params: requests.tokenParamsSchema,
    summary: 'Refuse a token from now on.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
} as const satisfies Operations;
