/** A refusal of the farm, with what to do about it. */
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

/**
 * The answer of this very farm to GET, in the shape of its contract: page and API are of one version.
 * @throws ApiError
 */
export async function getJson<T>(path: string): Promise<T> {
  return (await ask(path, 'GET')).json() as Promise<T>;
}

/** A picture; null when there is none. @throws ApiError */
export async function getPicture(path: string): Promise<Blob | null> {
  try {
    return await (await ask(path, 'GET')).blob();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** @throws ApiError */
export async function send(method: 'POST' | 'DELETE', path: string): Promise<void> {
  await ask(path, method);
}

/** What the farm answers to a request with a JSON body. @throws ApiError */
export async function sendJson<T>(path: string, body: unknown): Promise<T> {
  return (await ask(path, 'POST', JSON.stringify(body))).json() as Promise<T>;
}

/** The server-sent events that the farm answers with to a request with a JSON body, as they come. @throws ApiError */
export async function* sendForEvents<T>(path: string, body: unknown): AsyncGenerator<T> {
  const answer = await ask(path, 'POST', JSON.stringify(body));
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) return;
    // The farm writes an event as one line of data, and an empty line.
    const events = `${rest}${piece.value}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) if (event.startsWith('data: ')) yield JSON.parse(event.slice(6)) as T;
  }
}

async function ask(path: string, method: string, body?: string): Promise<Response> {
  const sent = body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } };
  const answer = await fetch(path, { method, ...sent }).catch(() => {
    throw new ApiError(0, 'The farm does not answer.', 'Check that it runs, and the way to it.');
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
