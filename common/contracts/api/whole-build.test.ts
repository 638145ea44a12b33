import { expect, test } from 'vitest';
import type { BuildView, ModuleView } from '../builds.ts';
import { readWholeBuild } from './whole-build.ts';

test('puts the pages of a build together, and knows of events what its first one knows', async () => {
  const modules = Array.from({ length: 5 }, (_, index) => ({ name: `m${index}` }) as ModuleView);
  let reads = 0;
  const whole = await readWholeBuild(async ({ cursor = '0' }) => {
    const from = Number(cursor);
    const next = from + 2 < modules.length ? String(from + 2) : null;
    return { modules: modules.slice(from, from + 2), nextCursor: next, lastEventId: `${++reads}-0` } as BuildView;
  });
  expect(whole).toEqual({ modules, nextCursor: null, lastEventId: '1-0' });
  expect(reads).toBe(3);
});
