import { expect, test } from 'vitest';
import type { Logger } from '../logging/logger.ts';
import { countTrouble } from './count-trouble.ts';
import { createMetrics } from './farm-metrics.ts';

test('says once a cluster what its servers warn of, and not without end', () => {
  const said: string[] = [];
  const logger = { warn: ({ cluster, warning }: Record<string, string>) => said.push(`${cluster}: ${warning}`) };
  const { warning } = countTrouble(createMetrics(), logger as unknown as Logger);
  for (const text of ['unknown field "a"', 'unknown field "a"', 'unknown field "b"']) warning('x', text);
  warning('y', 'unknown field "a"');
  expect(said).toEqual(['x: unknown field "a"', 'x: unknown field "b"', 'y: unknown field "a"']);
  for (let count = 0; count < 1000; count += 1) warning('x', `deprecated ${count}`);
  expect(said).toHaveLength(100);
});
