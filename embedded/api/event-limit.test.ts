import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { openClusterStore } from './api-half.ts';
import { limitEvents } from './event-limit.ts';

test('keeps the events that were written last', async () => {
  await using resources = new ReleaseStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'slipway-events-'));
  resources.defer('data', () => rm(dataDir, { recursive: true }));
  const logger = createLogger({ name: 'test', level: 'silent' });
  const store = await openClusterStore({ dataDir, clock: systemClock, logger, resources }, {});
  const stop = new AbortController();
  resources.defer('limit', () => stop.abort());
  limitEvents(store, logger, { signal: stop.signal, limit: 2 });
  const event = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace: 'default', name },
    count: 1,
  });
  const names = () => store.list('Event').map((object) => object.metadata.name);
  for (const name of ['a', 'b']) await store.create(event(name));
  await store.mutate('Event', { namespace: 'default', name: 'a' }, (draft) => {
    draft['count'] = 2;
  });
  await store.create(event('c'));
  expect(names()).toEqual(['a', 'c']);
});
