import type { z } from 'zod';
import type { TokenRole } from '../tokens.ts';

/** One answer of an operation. */
export interface Answer {
  /** Absent: no body, or one that is not JSON. */
  readonly schema?: z.ZodType;
  /** @defaultValue `application/json`; null: no body */
  readonly mediaType?: string | null;
}

/** One operation as it is described, guarded and validated. */
export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Parameters in braces. */
  readonly path: string;
  readonly summary: string;
  /** The least role that may call it; null: open to all callers. */
  readonly role: TokenRole | null;
  readonly answers: Readonly<Record<number, Answer>>;
  /** `modules`: a submission, which planning threads read; `content`: bytes, which are not read at once. */
  readonly body?: 'modules' | 'content' | z.ZodType;
  /** Of a schema. @defaultValue `application/json` */
  readonly bodyType?: 'text/plain';
  /** Of the parameters in `path`. */
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** It changes something: every attempt is a line of the audit log. */
  readonly isAudited?: boolean;
}

/** Operations by their ids. */
export type Operations = Readonly<Record<string, Operation>>;
