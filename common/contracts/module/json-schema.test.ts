import { expect, it } from 'vitest';
import { moduleJsonSchema } from './json-schema.ts';

it('describes the three forms, each without unknown keys', () => {
  const { anyOf } = moduleJsonSchema() as { anyOf: { additionalProperties: boolean; required: string[] }[] };
  expect(anyOf.map(({ additionalProperties, required }) => [additionalProperties, required])).toEqual([
    [false, ['apiVersion', 'kind', 'metadata', 'spec']],
    [false, ['apiVersion', 'kind', 'metadata', 'spec']],
    [false, ['name', 'vms']],
  ]);
});
