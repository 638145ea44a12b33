import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { PhaseClaim, SerialRead } from '../../common/contracts/phase-store.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { maskSecrets } from '../../common/logging/mask.ts';
import { type Answer, json, refusal, type ScriptedApi, startScriptedApi } from '../../test/harness/api-server.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { SerialCapture } from './serial-capture.ts';

let api: ScriptedApi | undefined;

afterEach(async () => {
  await api?.close();
  api = undefined;
});

const VMI = { metadata: { name: 'vm', uid: 'u1' }, status: { phase: 'Running' } };
/** Pauses pass at once, so that only the order of requests decides a test. */
const hastyClock = {
  now: () => 0,
  after: (ms: number, signal?: AbortSignal) => delay(ms > 1e9 ? 1e6 : 0, undefined, { signal }),
};

/** A cluster with the machine, whose log the answers give in turn. */
async function follow(
  { position = 0, keep, clock = hastyClock }: { position?: number; keep?: () => void; clock?: typeof hastyClock } = {},
  ...logs: Answer[]
) {
  let opened = 0;
  let readBytes = position;
  api = await startScriptedApi((request, response, url) => {
    if (url.pathname.endsWith('/log')) return logs[Math.min(opened++, logs.length - 1)]?.(request, response, url);
    if (url.pathname.endsWith('/pods')) {
      return json(200, { metadata: {}, items: [{ metadata: { name: 'launcher' } }] })(request, response, url);
    }
    if (url.searchParams.get('watch')) return void response.writeHead(200).flushHeaders();
    json(200, { metadata: { resourceVersion: '1' }, items: [VMI] })(request, response, url);
  });
  const kept: SerialRead[] = [];
  const context = {
    cluster: new ClusterClient(api.config, { clock: hastyClock }),
    claim: {} as PhaseClaim,
    clock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal: new AbortController().signal,
    store: {
      serialPosition: async (_claim: PhaseClaim, uid: string) => (uid === 'u1' ? readBytes : 0),
      keepSerial: async (_claim: PhaseClaim, read: SerialRead) => {
        keep?.();
        kept.push(read);
        readBytes = read.readBytes;
      },
    },
  } as unknown as PhaseContext;
  const capture = new SerialCapture(context, { machine: 'vm', mask: maskSecrets(['hunter2']) });
  return { capture, kept, lines: () => kept.flatMap(({ lines }) => lines) };
}

/** The text, and then silence or the end. */
function log(text: string, ends = false): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).write(text);
    if (ends) response.end();
  };
}

test('stores what comes after the position once, and takes a log up that broke off', async () => {
  const first = 'SeaBIOS\nLinux\n';
  const { capture, kept, lines } = await follow({ position: 8 }, log(first, true), log(`${first}pw hunter2\n`));
  await expect.poll(lines).toEqual(['Linux', 'pw ***']);
  await capture.stop();
  expect(lines()).toEqual(['Linux', 'pw ***']);
  expect(kept[0]).toEqual({ vmiUid: 'u1', lines: ['Linux'], readBytes: 14 });
  expect(api?.requests.find((request) => request.includes('/log'))).toBe(
    'GET /api/v1/namespaces/slipway/pods/launcher/log?container=guest-console-log&follow=true',
  );
});

test('a log whose beginning the node has let go of is followed from its end', async () => {
  const rotated = 'x\n'.repeat(1000);
  let print = (_text: string) => {};
  const followed: Answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).write(rotated);
    print = (text) => response.write(text);
  };
  const measured: Answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).end(rotated, () => setImmediate(print, 'news\n'));
  };
  const { capture, kept } = await follow({ position: 3_000_000 }, followed, measured);
  await expect.poll(() => kept, { timeout: 5_000 }).toHaveLength(1);
  expect(kept).toEqual([{ vmiUid: 'u1', lines: ['news'], readBytes: rotated.length + 5 }]);
  await capture.stop();
});

test('a long log that is whole is read once', async () => {
  const stored = 'x\n'.repeat(600_000);
  const beginning = new EventEmitter();
  let print = (_text: string) => {};
  const followed: Answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).write(`${stored}news\n`);
    print = (text) => response.write(text);
  };
  const after: typeof hastyClock.after = async (ms, signal) => {
    if (ms === 1_000) await once(beginning, 'over', { signal });
    else await hastyClock.after(ms, signal);
  };
  const { capture, lines } = await follow({ position: stored.length, clock: { ...hastyClock, after } }, followed);
  await expect.poll(lines).toEqual(['news']);
  beginning.emit('over');
  print('more\n');
  await expect.poll(lines).toEqual(['news', 'more']);
  await capture.stop();
  expect(api?.requests.filter((request) => request.includes('/log'))).toHaveLength(1);
});

test('the last lines include the output before this worker came, and the output since', async () => {
  const { capture, lines } = await follow({ position: 8 }, log('SeaBIOS\n'), log('SeaBIOS\npanic\n', true));
  await expect.poll(() => api?.requests.filter((request) => request.includes('/log')).length).toBe(1);
  expect(await capture.lastWords()).toEqual(['SeaBIOS', 'panic']);
  expect(lines()).toEqual(['panic']);
});

test('a cluster without such a log, and a superseded claim, disturb nothing else', async () => {
  const without = await follow(
    {},
    refusal(400, 'BadRequest', 'container guest-console-log is not valid for pod launcher'),
  );
  await expect.poll(() => api?.requests.filter((request) => request.includes('/log')).length).toBeGreaterThan(0);
  expect(await without.capture.lastWords()).toBeUndefined();
  await api?.close();
  const keep = () => {
    throw new FarmError('Superseded', 'Another worker has taken over.');
  };
  const passed = await follow({ keep }, log('SeaBIOS\n'));
  await expect.poll(() => api?.requests.filter((request) => request.includes('/log')).length).toBe(1);
  await passed.capture.stop();
  expect(passed.lines()).toEqual([]);
});
