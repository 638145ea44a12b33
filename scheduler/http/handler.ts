import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { OPERATIONS, OperationId } from '../../common/contracts/api/operations.ts';
import type { Principal } from '../../common/redis/tokens.ts';

type Operation<Id extends OperationId> = (typeof OPERATIONS)[Id];

/** The parsed part of a request by a schema of its operation; undefined without a schema. */
type Parsed<Parts, Part extends string> = Parts extends { readonly [Key in Part]: infer Schema extends z.ZodType }
  ? z.output<Schema>
  : Record<never, never>;

type Body<Parts> = Parts extends { readonly body: 'modules' } ? Buffer : Parsed<Parts, 'body'>;

/** A request, parsed by the schemas of its operation. */
export interface Call<Id extends OperationId> {
  readonly params: Parsed<Operation<Id>, 'params'>;
  readonly query: Parsed<Operation<Id>, 'query'>;
  readonly headers: Parsed<Operation<Id>, 'headers'>;
  /** A submission as it was sent; an uploaded `content` is still in the request. */
  readonly body: Body<Operation<Id>>;
  /** The caller. */
  readonly who: Principal;
  readonly request: Request;
  readonly response: Response;
}

/** A status of an operation and its body, which may be JSON already. */
type Reply<Status, Answer> = Answer extends { readonly mediaType: string | null }
  ? undefined
  : Answer extends { readonly schema: infer Schema extends z.ZodType }
    ? { readonly status: Status; readonly body: z.output<Schema> | Uint8Array }
    : undefined;

type Replies<Answers> = { [Status in keyof Answers]: Reply<Status, Answers[Status]> }[keyof Answers];

/** Executes an operation. It sends answers other than JSON itself (pictures, streams, files), but not an empty one (204). */
export type Handler<Id extends OperationId> = (
  call: Call<Id>,
) => Promise<Replies<Operation<Id>['answers']>> | Replies<Operation<Id>['answers']>;

/** One of every operation: the compiler names the one that is missing. */
export type Handlers = { readonly [Id in OperationId]: Handler<Id> };
