import { afterEach, expect, test } from 'vitest';
import { largestModules } from '../../test/harness/worst-documents.ts';
import { Planner, type PlannerOptions } from './planner.ts';

const MODULE = 'name: m\nvms: [{ name: v, source: { blank: true } }]\n';
let planner: Planner | undefined;

afterEach(() => planner?.close());

function start(options: Partial<PlannerOptions>): Planner {
  planner = new Planner({ farmKey: Buffer.from('key'), ...options });
  return planner;
}

function read(text: string) {
  const options = { isJson: false, noCache: false, strict: false, rebuild: '', only: '' };
  if (!planner) throw new Error('There is no planner.');
  return planner.run('read', { body: Buffer.from(text), ...options });
}

test('what takes too long ends, and the next request gets a thread', async () => {
  start({ deadlineMs: 300 });
  await expect(read(largestModules())).rejects.toMatchObject({ code: 'PlanningTimeout' });
  await expect.poll(() => read(MODULE).then(({ parents }) => parents, String), { timeout: 20_000 }).toEqual(new Set());
});

test('what takes too much memory costs itself alone', async () => {
  start({ heapMb: 48 });
  await expect(read(largestModules())).rejects.toMatchObject({ code: 'RequestTooLarge' });
  expect(await read(MODULE)).toMatchObject({ secrets: [] });
});

test('errors of a thread are those of the code in it', async () => {
  start({});
  await expect(read('name: m\nvms: [{ name: v, source: { blank: true }, memry: 1 }]')).rejects.toMatchObject({
    code: 'InvalidModule',
    details: { problems: [{ line: 2, code: 'UnknownKey' }] },
  });
});

test('more than so many do not wait', async () => {
  start({});
  const refused = await Promise.allSettled(Array.from({ length: 100 }, () => read(MODULE)));
  const codes = refused.map((result) => (result.status === 'rejected' ? result.reason.code : 'read'));
  expect(new Set(codes)).toEqual(new Set(['read', 'TooManyRequests']));
});
