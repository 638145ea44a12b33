import { expect, test } from 'vitest';
import type { FarmClient } from './farm-client.ts';
import { resolveBuild, shortId } from './resolve-build.ts';

const IDS = ['01KV0000000000000000ABCDEF', '01KV0000000000000000ABCDEG', '01KW00000000000000001BCDEF'];
const client = {
  allBuilds: async function* () {
    for (const buildId of IDS) yield { buildId };
  } as unknown as FarmClient['allBuilds'],
};

test.each([
  ['the end', 'ABCDEG', IDS[1]],
  ['the end in small letters', 'abcdef', IDS[0]],
  ['the start', '01KW', IDS[2]],
  ['what is shown', shortId(IDS[2] ?? ''), IDS[2]],
  ['a whole id, which may be gone', '01KX00000000000000001BCDEF', '01KX00000000000000001BCDEF'],
])('%s of an id is enough', async (_what, text, id) => {
  expect(await resolveBuild(client, text)).toBe(id);
});

test('what several builds have is refused with their ids, and what none has', async () => {
  await expect(resolveBuild(client, 'bcdef')).rejects.toMatchObject({
    code: 'InvalidRequest',
    message: `Several builds match "bcdef": ${IDS[0]}, ${IDS[2]}.`,
  });
  await expect(resolveBuild(client, 'ZZ')).rejects.toMatchObject({ code: 'NotFound' });
  await expect(resolveBuild(client, '')).rejects.toMatchObject({ code: 'NotFound' });
});
