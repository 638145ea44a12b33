import type { Request } from 'express';
import { z } from 'zod';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { BuildRequest } from '../builds/build-service.ts';
import { submissionSchema } from './requests.ts';

interface SubmissionQuery {
  readonly noCache: boolean;
  /** Names, separated by commas. */
  readonly rebuild: string;
  /** As `rebuild`. */
  readonly only: string;
  readonly strict: boolean;
}

/** Reads a submission: modules as YAML or JSON documents, or `{files, variables}`. @throws InvalidRequest */
export function readSubmission(request: Request, { noCache, rebuild, only, strict }: SubmissionQuery): BuildRequest {
  const options = { noCache, strict, rebuild: namesIn(rebuild), only: namesIn(only) };
  const text = z.string().safeParse(request.body).data ?? '';
  if (text.trim() === '')
    throw new FarmError('InvalidRequest', 'The request has no body: send modules as YAML or JSON.');
  if (!request.is('json'))
    return { files: [{ path: 'request.yaml', text }], variables: {}, localFiles: [], ...options };
  const body = parseJson(text);
  if (typeof body === 'object' && body !== null && 'files' in body && Array.isArray(body.files)) {
    return { ...submissionSchema.parse(body), ...options };
  }
  return { files: [{ path: 'request.json', text }], variables: {}, localFiles: [], ...options };
}

function namesIn(list: string): string[] {
  return list.split(',').filter((name) => name !== '');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FarmError('InvalidRequest', `The body is no JSON: ${String(error)}`, { cause: error });
  }
}
