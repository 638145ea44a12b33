import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { moduleJsonSchema } from './json-schema.ts';

const published = new URL('../../../docs/module.schema.json', import.meta.url);

it('is published as docs/module.schema.json', async () => {
  const generated = `${JSON.stringify(moduleJsonSchema(), null, 2)}\n`;
  const current: unknown = JSON.parse(readFileSync(published, 'utf8'));
  // The formatter lays the file out in its own way: only the meaning counts. `vitest -u`, then `biome format`, renews it.
  if (isDeepStrictEqual(current, JSON.parse(generated))) return;
  await expect(generated).toMatchFileSnapshot(fileURLToPath(published));
});

it('describes the three forms, each without unknown keys', () => {
  const { anyOf } = moduleJsonSchema() as { anyOf: { additionalProperties: boolean; required: string[] }[] };
  expect(anyOf.map(({ additionalProperties, required }) => [additionalProperties, required])).toEqual([
    [false, ['apiVersion', 'kind', 'metadata', 'spec']],
    [false, ['apiVersion', 'kind', 'metadata', 'spec']],
    [false, ['name', 'vms']],
  ]);
});
