import { z } from 'zod';
import { issueLines } from '../../text/issue-lines.ts';
import type { Parsed } from '../module/parsed.ts';
import type { Operation } from './operation.ts';
import { OPERATIONS, type OperationId } from './operations.ts';
import type { submissionSchema } from './submission.ts';

type Contract<Id extends OperationId> = (typeof OPERATIONS)[Id];
type Answers<Id extends OperationId> = Contract<Id>['answers'];

/** Requests of clients are read-only here. */
type Sent<T> = T extends readonly (infer Item)[]
  ? readonly Sent<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Sent<T[Key]> }
    : T;

/** Value sent for a part of a request; a `content` is bytes of any kind. */
type Written<Schema> = Schema extends z.ZodType
  ? Sent<z.input<Schema>>
  : Schema extends 'modules'
    ? Sent<z.input<typeof submissionSchema>>
    : unknown;

/** A part that may be empty may be left out. */
type Part<Name extends string, Value> =
  Record<never, never> extends Value
    ? { readonly [Key in Name]?: Value }
    : undefined extends Value
      ? { readonly [Key in Name]?: Value }
      : { readonly [Key in Name]: Value };

type PartOf<Id extends OperationId, Name extends 'params' | 'query' | 'headers' | 'body'> =
  Contract<Id> extends Readonly<Record<Name, infer Schema>> ? Part<Name, Written<Schema>> : Record<never, never>;

/** Where an operation is asked for: the parameters of its path, and its query. */
export type AddressOf<Id extends OperationId> = PartOf<Id, 'params'> & PartOf<Id, 'query'>;

/** A request of an operation as clients write it, by the schemas that the farm reads it with. */
export type RequestOf<Id extends OperationId> = AddressOf<Id> & PartOf<Id, 'headers'> & PartOf<Id, 'body'>;

/** A request of any operation. */
export interface AnyRequest {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

type JsonOf<Answer> = Answer extends { readonly mediaType: null }
  ? undefined
  : Answer extends { readonly mediaType: string }
    ? never
    : Answer extends { readonly schema: infer Schema extends z.ZodType }
      ? z.output<Schema>
      : never;

/** The content of a successful answer of an operation: its JSON, or undefined without a body. */
export type AnswerOf<Id extends OperationId> = {
  [Status in keyof Answers<Id>]: JsonOf<Answers<Id>[Status]>;
}[keyof Answers<Id>];

/** Operations that answer with server-sent events. */
export type StreamId = {
  [Id in OperationId]: Answers<Id> extends { readonly 200: { readonly mediaType: 'text/event-stream' } } ? Id : never;
}[OperationId];

/** The data of one server-sent event of an operation. */
export type MessageOf<Id extends StreamId> = Answers<Id>[200] extends {
  readonly schema: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : never;

/** Path and query of a request. Undefined and empty values are left out of the query; lists are repeated. */
export function addressOf<Id extends OperationId>(id: Id, address: AddressOf<Id>): string {
  const { params = {}, query = {} } = address as AnyRequest;
  const path = OPERATIONS[id].path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name] ?? ''));
  const search = new URLSearchParams();
  for (const [name, values] of Object.entries(query)) {
    for (const value of [values].flat()) if (value !== undefined && value !== '') search.append(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search}`;
}

/** The JSON of a successful answer, read by the schema of its status. */
export function readAnswer<Id extends OperationId>(id: Id, status: number, json: unknown): Parsed<AnswerOf<Id>> {
  const { answers }: Operation = OPERATIONS[id];
  const answer = answers[status];
  if (!answer) return { complaint: `the status ${status} is not described` };
  if (!answer.schema) return { value: undefined as AnswerOf<Id> };
  return readBy(answer.schema, json) as Parsed<AnswerOf<Id>>;
}

/** The data of a server-sent event. */
export function readMessage<Id extends StreamId>(id: Id, json: unknown): Parsed<MessageOf<Id>> {
  const { answers }: Operation = OPERATIONS[id];
  return readBy(answers[200]?.schema ?? z.never(), json) as Parsed<MessageOf<Id>>;
}

function readBy(schema: z.ZodType, json: unknown): Parsed<unknown> {
  const result = schema.safeParse(json);
  if (result.success) return { value: result.data };
  const [first, ...more] = issueLines(result.error);
  const others = more.length === 0 ? '' : ` (and ${more.length} more problems)`;
  return { complaint: `${first}${others}` };
}
