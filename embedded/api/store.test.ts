import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { NamespaceCollector } from './namespace-collector.ts';
import { type KubeObject, keyOf } from './objects.ts';
import { OwnerCollector } from './owner-collector.ts';
import { loadServedApi } from './resource-kinds.ts';
import { Store, type StoreEvent } from './store.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const { kinds } = loadServedApi();
let directory = '';
let store: Store;
let stop: AbortController;

async function open(windowSize = 4096): Promise<Store> {
  return await Store.open({ directory, kinds, clock: systemClock, logger, windowSize });
}

function namespace(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: { finalizers: ['kubernetes'] } };
}

function configMap(name: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'farm', ...metadata, name }, data: {} };
}

function ownedBy(owner: KubeObject): Partial<KubeObject['metadata']> {
  const { name, uid = '' } = owner.metadata;
  return { ownerReferences: [{ apiVersion: owner.apiVersion, kind: owner.kind, name, uid }] };
}

/** Resolves with the first event that satisfies the condition. */
function seen(kind: string, condition: (event: StoreEvent) => boolean): Promise<StoreEvent> {
  return new Promise((resolve) => {
    store.subscribe([kind], (event) => void (condition(event) && resolve(event)), stop.signal);
  });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-store-'));
  store = await open();
  stop = new AbortController();
  await store.create(namespace('farm'));
});

afterEach(async () => {
  stop.abort();
  await store.close();
  await rm(directory, { recursive: true });
});

test('refuses a write that is based on an older state', async () => {
  const first = await store.create(configMap('settings'));
  await store.update({ ...first, data: { a: '1' } });
  await expect(store.update({ ...first, data: { a: '2' } })).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  expect(store.get('ConfigMap', keyOf(first))).toMatchObject({ data: { a: '1' }, metadata: { generation: 2 } });
});

test('writes nothing when nothing changes', async () => {
  const first = await store.create(configMap('settings'));
  const second = await store.mutate('ConfigMap', keyOf(first), () => {});
  expect(second).toBe(first);
});

test('keeps a deleted object until its last finalizer is removed', async () => {
  const held = await store.create(configMap('held', { finalizers: ['example.org/hold'] }));
  expect(await store.delete('ConfigMap', keyOf(held))).toMatchObject({ removed: false });
  expect(store.get('ConfigMap', keyOf(held))?.metadata.deletionTimestamp).toBeDefined();
  await store.mutate('ConfigMap', keyOf(held), (draft) => {
    draft.metadata.finalizers = [];
  });
  expect(store.get('ConfigMap', keyOf(held))).toBeUndefined();
});

test('shows every listener the changes in order, even when a listener causes the next one', async () => {
  const orders: string[][] = [[], []];
  store.subscribe(
    ['ConfigMap'],
    (event) => {
      orders[0]?.push(`${event.type} ${event.object.metadata.name}`);
      if (event.object.metadata.name === 'cause') void store.create(configMap('effect'));
    },
    stop.signal,
  );
  store.subscribe(
    ['ConfigMap'],
    (event) => orders[1]?.push(`${event.type} ${event.object.metadata.name}`),
    stop.signal,
  );
  await store.create(configMap('cause'));
  expect(orders).toEqual([
    ['ADDED cause', 'ADDED effect'],
    ['ADDED cause', 'ADDED effect'],
  ]);
});

test('answers 410 for a position that has left the window', async () => {
  await store.close();
  store = await open(2);
  const start = store.resourceVersion;
  for (const name of ['a', 'b', 'c', 'd', 'e']) await store.create(configMap(name));
  const subscriber = { listener: () => {}, signal: stop.signal };
  expect(() => store.watchFrom(['ConfigMap'], start, subscriber)).toThrow('too old resource version');
  const events: string[] = [];
  const listener = (event: StoreEvent) => void events.push(event.object.metadata.name);
  store.watchFrom(['ConfigMap'], store.resourceVersion - 1, { listener, signal: stop.signal });
  expect(events).toEqual(['e']);
});

test('still reports what happened before it was opened again', async () => {
  const start = store.resourceVersion;
  const kept = await store.create(configMap('kept'));
  await store.create(configMap('removed'));
  await store.delete('ConfigMap', { namespace: 'farm', name: 'removed' });
  await store.close();
  store = await open();
  const events: string[] = [];
  const listener = (event: StoreEvent) => void events.push(`${event.type} ${event.object.metadata.name}`);
  store.watchFrom(['ConfigMap'], start, { listener, signal: stop.signal });
  await store.create(configMap('after'));
  expect(events).toEqual(['ADDED kept', 'ADDED removed', 'DELETED removed', 'ADDED after']);
  const lost = Number(kept.metadata.resourceVersion) + 10;
  expect(() => store.watchFrom(['ConfigMap'], lost, { listener, signal: stop.signal })).toThrow('too old');
});

test('has everything again after a crash that tore the last line', async () => {
  const kept = await store.create(configMap('kept'));
  await store.create(configMap('removed'));
  await store.delete('ConfigMap', { namespace: 'farm', name: 'removed' });
  const before = store.resourceVersion;
  await store.close();
  await appendFile(join(directory, 'journal.jsonl'), '{"resourceVersion":99,"id":"ConfigMap/farm/torn","obj');
  store = await open();
  expect(store.list('ConfigMap')).toEqual([kept]);
  expect(store.resourceVersion).toBeGreaterThan(before);
  await store.create(configMap('after'));
  await store.close();
  store = await open();
  expect(store.list('ConfigMap').map((object) => object.metadata.name)).toEqual(['after', 'kept']);
});

test('folds a long journal into a snapshot and loses nothing', async () => {
  const text = 'x'.repeat(512 * 1024);
  const first = await store.create({ ...configMap('large'), data: { text } });
  for (let round = 0; round < 20; round++) {
    await store.mutate('ConfigMap', keyOf(first), (draft) => {
      draft['data'] = { text: `${text}${round}` };
    });
  }
  await store.close();
  store = await open();
  expect(store.get('ConfigMap', keyOf(first))).toMatchObject({
    data: { text: `${text}19` },
    metadata: { generation: 21 },
  });
  expect(store.list('ConfigMap')).toHaveLength(1);
});

test('deletes what is owned, through several levels, and keeps what another owner still needs', async () => {
  new OwnerCollector(store, logger).start(stop.signal);
  const top = await store.create(configMap('top'));
  const other = await store.create(configMap('other'));
  const middle = await store.create(configMap('middle', ownedBy(top)));
  await store.create(configMap('bottom', ownedBy(middle)));
  const both = [...(ownedBy(top).ownerReferences ?? []), ...(ownedBy(other).ownerReferences ?? [])];
  await store.create(configMap('shared', { ownerReferences: both }));
  const gone = seen('ConfigMap', ({ type, object }) => type === 'DELETED' && object.metadata.name === 'bottom');
  const released = seen('ConfigMap', ({ object }) => object.metadata.ownerReferences?.[0]?.name === 'other');
  await store.delete('ConfigMap', keyOf(top));
  await Promise.all([gone, released]);
  expect(store.list('ConfigMap').map((object) => object.metadata.name)).toEqual(['other', 'shared']);
});

test('waits for what is owned on foreground deletion and lets it live on orphan deletion', async () => {
  new OwnerCollector(store, logger).start(stop.signal);
  const [slow, left] = [await store.create(configMap('slow')), await store.create(configMap('left'))];
  const child = await store.create(configMap('child', { ...ownedBy(slow), finalizers: ['example.org/hold'] }));
  await store.create(configMap('orphan', ownedBy(left)));
  const childLeaving = seen(
    'ConfigMap',
    ({ object }) => object.metadata.name === 'child' && 'deletionTimestamp' in object.metadata,
  );
  const slowGone = seen('ConfigMap', ({ type, object }) => type === 'DELETED' && object.metadata.name === 'slow');
  const leftGone = seen('ConfigMap', ({ type, object }) => type === 'DELETED' && object.metadata.name === 'left');
  expect(await store.delete('ConfigMap', keyOf(slow), { propagation: 'Foreground' })).toMatchObject({ removed: false });
  await childLeaving;
  expect(store.get('ConfigMap', keyOf(slow))).toBeDefined();
  await store.mutate('ConfigMap', keyOf(child), (draft) => {
    draft.metadata.finalizers = [];
  });
  await store.delete('ConfigMap', keyOf(left), { propagation: 'Orphan' });
  await Promise.all([slowGone, leftGone]);
  expect(store.list('ConfigMap')).toMatchObject([{ metadata: { name: 'orphan' } }]);
  expect(store.list('ConfigMap')[0]?.metadata.ownerReferences).toBeUndefined();
});

test('empties a deleted namespace before it goes and takes nothing new into it', async () => {
  new NamespaceCollector(store, logger).start(stop.signal);
  const held = await store.create(configMap('held', { finalizers: ['example.org/hold'] }));
  await store.create(configMap('plain'));
  const plainGone = seen('ConfigMap', ({ type, object }) => type === 'DELETED' && object.metadata.name === 'plain');
  await store.delete('Namespace', { name: 'farm' });
  await plainGone;
  await expect(store.create(configMap('late'))).rejects.toMatchObject({ code: 403, reason: 'Forbidden' });
  const namespaceGone = seen('Namespace', ({ type }) => type === 'DELETED');
  await store.mutate('ConfigMap', keyOf(held), (draft) => {
    draft.metadata.finalizers = [];
  });
  await namespaceGone;
  await expect(store.create(configMap('late'))).rejects.toMatchObject({ code: 404 });
});
