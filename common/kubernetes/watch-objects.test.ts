import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { type Answer, json, refusal, type ScriptedApi, startScriptedApi } from '../../test/harness/api-server.ts';
import { ClusterClient } from './cluster-client.ts';
import type { Secret } from './objects.ts';
import { RESOURCES } from './resources.ts';
import { waitFor } from './wait-for.ts';
import { type WatchEvent, type WatchOptions, watchObjects } from './watch-objects.ts';

let api: ScriptedApi | undefined;

afterEach(async () => {
  await api?.close();
  api = undefined;
});

/** Back-off passes at once, so that only the order of requests decides a test. */
const hastyClock = { now: () => 0, after: (_ms: number, signal?: AbortSignal) => delay(0, undefined, { signal }) };

function secret(name: string, version: number): Secret {
  return { metadata: { name, resourceVersion: String(version) } };
}

function listOf(version: number, ...names: string[]): Answer {
  return json(200, { metadata: { resourceVersion: String(version) }, items: names.map((name) => secret(name, 1)) });
}

const line = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;

/** A watch that sends the chunks, one packet each, then ends by `end`. */
function watch(end: 'close' | 'reset' | 'silence', ...chunks: (string | Buffer)[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    const next = () => {
      const chunk = chunks.shift();
      if (chunk !== undefined) response.write(chunk, () => setImmediate(next));
      else if (end === 'close') response.end();
      else if (end === 'reset') response.socket?.resetAndDestroy();
    };
    next();
  };
}

/** Watches until as many events as asked for have come, and returns them in short. */
async function observe(count: number, options: Partial<WatchOptions>, ...answers: Answer[]): Promise<string[]> {
  api = await startScriptedApi(...answers);
  const cluster = new ClusterClient(api.config, { clock: hastyClock, random: () => 0 });
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const event of watchObjects(cluster, RESOURCES.secrets, { ...options, signal: stop.signal })) {
    seen.push(summary(event));
    if (seen.length === count) stop.abort();
  }
  return seen;
}

function summary(event: WatchEvent<Secret>): string {
  if (event.type === 'synced') return `synced ${event.objects.map((object) => object.metadata?.name).join(',')}`;
  if (event.type === 'interrupted') return `interrupted ${event.error.code}`;
  if (event.type === 'resumed') return 'resumed';
  return `${event.type} ${event.object.metadata?.name}`;
}

const versions = () => api?.requests.map((request) => new URL(request.slice(4), 'http://a').searchParams);
const watchedFrom = () => versions()?.map((query) => (query.has('watch') ? query.get('resourceVersion') : 'list'));

test('continues from the last version when a watch breaks off, without listing again', async () => {
  const seen = await observe(
    5,
    {},
    listOf(10, 'a'),
    watch('reset', line('MODIFIED', secret('a', 11)), line('BOOKMARK', { metadata: { resourceVersion: '20' } })),
    watch('close', line('ADDED', secret('b', 21))),
  );
  expect(seen).toEqual(['synced a', 'changed a', 'interrupted ClusterUnavailable', 'resumed', 'changed b']);
  expect(watchedFrom()).toEqual(['list', '10', '20']);
});

test.each([
  ['the server answers 410', refusal(410, 'Expired')],
  ['an ERROR event reports it', watch('close', line('ERROR', { kind: 'Status', code: 410, reason: 'Expired' }))],
  ['an ERROR event of any kind comes', watch('close', line('ERROR', { kind: 'Status', code: 500, reason: 'Broken' }))],
])('lists again when %s, and reports what is still there', async (_case, fault) => {
  const seen = await observe(
    3,
    {},
    listOf(10, 'a', 'b'),
    fault,
    listOf(30, 'b'),
    watch('silence', line('DELETED', secret('b', 31))),
  );
  expect(seen).toEqual(['synced a,b', 'synced b', 'deleted b']);
  expect(watchedFrom()).toEqual(['list', '10', 'list', '30']);
});

test('reports that it watches again also without a change', async () => {
  const seen = await observe(4, {}, listOf(10), watch('reset'), refusal(503, 'Unavailable'), watch('silence'));
  expect(seen).toEqual(['synced ', 'interrupted ClusterUnavailable', 'interrupted ClusterUnavailable', 'resumed']);
});

test('takes silence for no outage while the cluster answers', async () => {
  const seen = await observe(
    2,
    { idleMs: 500 },
    listOf(10),
    watch('silence'),
    json(200, { gitVersion: 'v1.34.2' }),
    watch('silence', line('ADDED', secret('late', 11))),
  );
  expect(seen).toEqual(['synced ', 'changed late']);
  expect(watchedFrom()).toEqual(['list', '10', 'list', '10']);
  expect(api?.requests[2]).toBe('GET /version');
});

test('gives up a silent connection of a cluster that does not answer, and watches on', async () => {
  const seen = await observe(
    4,
    { idleMs: 500 },
    listOf(10),
    watch('silence'),
    refusal(503, 'Unavailable'),
    watch('silence', line('ADDED', secret('late', 11))),
  );
  expect(seen).toEqual(['synced ', 'interrupted ClusterUnavailable', 'resumed', 'changed late']);
});

test('reports that the cluster does not answer, and resumes when it does', async () => {
  const seen = await observe(
    3,
    {},
    refusal(503, 'Unavailable'),
    refusal(403, 'Forbidden', 'secrets is forbidden: User "u" cannot list'),
    listOf(1, 'a'),
  );
  expect(seen).toEqual(['interrupted ClusterUnavailable', 'interrupted ClusterUnfit', 'synced a']);
});

test('reads events whose bytes arrive one by one', async () => {
  const bytes = Buffer.from(line('ADDED', secret('größe', 2)));
  const seen = await observe(2, {}, listOf(1), watch('silence', ...[...bytes].map((byte) => Buffer.of(byte))));
  expect(seen).toEqual(['synced ', 'changed größe']);
});

test('waits by watch until the object is as expected, also by being deleted', async () => {
  api = await startScriptedApi(
    listOf(10, 'a'),
    watch('silence', line('MODIFIED', secret('a', 11)), line('DELETED', secret('a', 12))),
  );
  const cluster = new ClusterClient(api.config, { random: () => 0 });
  const seen: (string | undefined)[] = [];
  const result = await waitFor(
    cluster,
    { resource: RESOURCES.secrets, name: 'a' },
    {
      signal: new AbortController().signal,
      deadlineMs: 20_000,
      what: 'the end',
      until: (object) => {
        seen.push(object?.metadata?.resourceVersion);
        return object ? undefined : 'gone';
      },
    },
  );
  expect({ result, seen }).toEqual({ result: 'gone', seen: ['1', '11', undefined] });
});

test('ends a wait at its deadline and at its signal', async () => {
  api = await startScriptedApi(listOf(10), watch('silence'));
  const cluster = new ClusterClient(api.config);
  const stop = new AbortController();
  const wait = (deadlineMs: number) =>
    waitFor(
      cluster,
      { resource: RESOURCES.secrets, name: 'a' },
      { signal: stop.signal, deadlineMs, what: 'a miracle', until: () => undefined },
    );
  await expect(wait(30)).rejects.toMatchObject({ code: 'DeadlineExceeded' });
  const waiting = wait(60_000);
  stop.abort(new Error('no longer needed'));
  await expect(waiting).rejects.toThrow('no longer needed');
});
