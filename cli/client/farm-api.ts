import { Readable } from 'node:stream';
import { systemClock } from '../../common/clock/clock.ts';
import type { Operation } from '../../common/contracts/api/operation.ts';
import { OPERATIONS, type OperationId } from '../../common/contracts/api/operations.ts';
import {
  type AnswerOf,
  type AnyRequest,
  addressOf,
  type MessageOf,
  type RequestOf,
  readAnswer,
  readMessage,
  type StreamId,
} from '../../common/contracts/api/request.ts';
import type { Parsed } from '../../common/contracts/module/parsed.ts';
import { STREAMED } from '../../common/fetch/streamed-body.ts';
import type { FarmAddress } from './connection.ts';
import { followStream, type Patience, readStream, type StreamReader } from './event-stream.ts';
import { headOf, notAFarm, refusal, unreachable, unreadable } from './refusal.ts';
import { trustingFetch } from './trusting-fetch.ts';

/** A server-sent event of an operation, with the id to resume after. */
export type Streamed<Id extends StreamId> = MessageOf<Id> & { readonly id: string };

/** How a stream is followed. `signal` ends it, with the signal's reason. */
export interface FollowOptions extends Partial<Patience> {
  readonly signal?: AbortSignal;
}

interface AskOptions {
  /** @defaultValue that of the operation */
  readonly method?: 'head';
  readonly signal?: AbortSignal | undefined;
}

const PATIENT: Patience = { clock: systemClock, forMs: 10 * 60_000, onAway: () => {}, onBack: () => {} };

/**
 * The operations of a farm, as its contract has them. Every method throws `FarmUnreachable` without an answer, and
 * otherwise the code that the farm answered with, its problems in `details.problems`.
 */
export class FarmApi {
  readonly farm: FarmAddress;
  #send: Promise<typeof fetch> | undefined;

  constructor(farm: FarmAddress) {
    this.farm = farm;
  }

  /** The JSON of the answer; undefined without a body. */
  async call<Id extends OperationId>(id: Id, request: RequestOf<Id>, signal?: AbortSignal): Promise<AnswerOf<Id>> {
    const response = await this.fetch(id, request, signal);
    return this.#valueOf(id, readAnswer(id, response.status, this.#parse(id, await response.text())), response);
  }

  /** A successful answer whose body is not read yet. */
  async fetch<Id extends OperationId>(id: Id, request: RequestOf<Id>, signal?: AbortSignal): Promise<Response> {
    const response = await this.ask(id, request, { signal });
    if (!response.ok) throw refusal(this.farm.url, headOf(response), await response.text());
    return response;
  }

  /** The server-sent events of one answer, as they come. */
  async *stream<Id extends StreamId>(id: Id, request: RequestOf<Id>): AsyncGenerator<Streamed<Id>> {
    const response = await this.fetch(id, request);
    yield* readStream(
      this.#readerOf(id, () => response),
      response,
    );
  }

  /** The same up to the last one; where the connection is cut it is opened again. */
  follow<Id extends 'streamEvents' | 'streamSerial'>(
    id: Id,
    request: RequestOf<Id>,
    isLast: (message: Streamed<Id>) => boolean,
    { signal, ...patience }: FollowOptions = {},
  ): AsyncGenerator<Streamed<Id>> {
    let opened: Response | undefined;
    const open = async (lastEventId: string) => {
      opened = await this.fetch(id, { ...request, headers: { 'last-event-id': lastEventId } }, signal);
      return opened;
    };
    return followStream({ read: this.#readerOf(id, () => opened), isLast, open }, { ...PATIENT, ...patience });
  }

  /** Any answer. */
  async ask<Id extends OperationId>(id: Id, request: RequestOf<Id>, options: AskOptions = {}): Promise<Response> {
    const operation: Operation = OPERATIONS[id];
    const { headers, body } = request as AnyRequest;
    const sent = body === undefined ? undefined : encoded(operation, body);
    const { signal } = options;
    try {
      this.#send ??= this.farm.authorities ? trustingFetch(this.farm.authorities) : Promise.resolve(fetch);
      const send = await this.#send;
      return await send(`${this.farm.url}${addressOf(id, request)}`, {
        method: (options.method ?? operation.method).toUpperCase(),
        headers: {
          authorization: `Bearer ${this.farm.token}`,
          ...(sent ? { 'content-type': sent.type } : {}),
          ...(headers as Record<string, string>),
        },
        ...(sent ? { body: sent.body } : {}),
        ...(sent?.body instanceof ReadableStream ? STREAMED : {}),
        ...(signal ? { signal } : {}),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unreachable(this.farm.url, cause);
    }
  }

  #parse(id: OperationId, text: string): unknown {
    try {
      return text === '' ? undefined : JSON.parse(text);
    } catch {
      throw notAFarm(this.farm.url, `its answer to ${OPERATIONS[id].path} is not JSON`);
    }
  }

  #readerOf<Id extends StreamId>(operation: Id, answer: () => Response | undefined): StreamReader<Streamed<Id>> {
    return (data, id) => ({ ...Object(this.#valueOf(operation, readMessage(operation, data), answer())), id });
  }

  #valueOf<T>(id: OperationId, read: Parsed<T>, answer: Response | undefined): T {
    if ('value' in read) return read.value;
    const { version } = answer ? headOf(answer) : { version: null };
    throw unreadable(this.farm.url, version, `its answer to ${OPERATIONS[id].path} cannot be read: ${read.complaint}`);
  }
}

/** Body of a request, with its media type. */
function encoded({ body: kind, bodyType }: Operation, body: unknown): { type: string; body: string | ReadableStream } {
  if (kind === 'content') {
    return { type: 'application/octet-stream', body: Readable.toWeb(body as Readable) as ReadableStream };
  }
  return bodyType ? { type: bodyType, body: String(body) } : { type: 'application/json', body: JSON.stringify(body) };
}

/** The body of a request. */
export type BodyOf<Id extends OperationId> = RequestOf<Id> extends { readonly body?: infer Body } ? Body : never;

/** A flag in a query: an absent one is false for the farm. */
export function queryFlag(value: boolean): 'true' | undefined {
  return value ? 'true' : undefined;
}
