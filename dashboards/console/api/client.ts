import { OPERATIONS, type OperationId } from '../../../common/contracts/api/operations.ts';
import {
  type AnswerOf,
  type AnyRequest,
  addressOf,
  type MessageOf,
  type RequestOf,
  readAnswer,
  readMessage,
  type StreamId,
} from '../../../common/contracts/api/request.ts';
import type { Parsed } from '../../../common/contracts/module/parsed.ts';

/** A refusal of the farm, with its remedy. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly solve: string;

  constructor(status: number, detail: string, solve: string) {
    super(detail);
    this.status = status;
    this.solve = solve;
  }
}

/** Less than this may be the way of the answer. */
const SKEW_MS = 2_000;
let skewMs = 0;

/** Milliseconds since the Unix epoch by the farm's clock, so that running times are right on a machine whose is not. */
export function farmNow(): number {
  return Date.now() + skewMs;
}

/** The answer of the farm to an operation, as its contract has it. @throws ApiError */
export async function call<Id extends OperationId>(id: Id, request: RequestOf<Id>): Promise<AnswerOf<Id>> {
  const answer = await askFor(id, request);
  const text = await answer.text();
  return readable(readAnswer(id, answer.status, text === '' ? undefined : JSON.parse(text)), answer.status);
}

/** A picture, by its path in the API; null when there is none. @throws ApiError */
export async function getPicture(path: string): Promise<Blob | null> {
  try {
    return await (await ask(path, 'GET')).blob();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** Signs out. @throws ApiError */
export async function signOut(): Promise<void> {
  await ask('/sign-out', 'POST');
}

/** The server-sent events that the farm answers with, as they come. @throws ApiError */
export async function* callForEvents<Id extends StreamId>(
  id: Id,
  request: RequestOf<Id>,
): AsyncGenerator<MessageOf<Id>> {
  const answer = await askFor(id, request);
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) return;
    // The farm writes an event as one line of data, and an empty line.
    const events = `${rest}${piece.value}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) if (event.startsWith('data: ')) yield readEvent(id, event.slice(6));
  }
}

/** The data of a server-sent event. @throws ApiError when it is of another version of the farm */
export function readEvent<Id extends StreamId>(id: Id, data: string): MessageOf<Id> {
  return readable(readMessage(id, JSON.parse(data)), 200);
}

/** Farms are upgraded under pages that are open. */
function readable<T>(read: Parsed<T>, status: number): T {
  if ('value' in read) return read.value;
  throw new ApiError(status, `This page cannot read the farm's answer: ${read.complaint}`, 'Load the page again.');
}

function askFor<Id extends OperationId>(id: Id, request: RequestOf<Id>): Promise<Response> {
  const { body } = request as AnyRequest;
  return ask(addressOf(id, request), OPERATIONS[id].method.toUpperCase(), body);
}

async function ask(path: string, method: string, body?: unknown): Promise<Response> {
  const sent =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await fetch(path, { method, ...sent }).catch(() => {
    throw new ApiError(0, 'The farm does not answer.', 'Check that the farm runs and that this browser can reach it.');
  });
  const skew = Date.parse(answer.headers.get('date') ?? '') - Date.now();
  if (Math.abs(skew) > SKEW_MS) skewMs = skew;
  // The token was revoked or has expired: loading again leads to the form.
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer: Response): Promise<ApiError> {
  const problem: unknown = await answer.json().catch(() => null);
  const text = (field: string) => {
    const value: unknown = problem && typeof problem === 'object' ? Reflect.get(problem, field) : undefined;
    return typeof value === 'string' ? value : '';
  };
  return new ApiError(answer.status, text('detail') || `The answer was HTTP ${answer.status}.`, text('solve'));
}
