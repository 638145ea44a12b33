import { expect, test } from 'vitest';
import type { Logger } from '../logging/logger.ts';
import { countTrouble } from './count-trouble.ts';
import { createMetrics } from './farm-metrics.ts';

test('logs each warning of the servers of a cluster once, and a limited number of them', () => {
  const output: string[] = [];
  const logger = { warn: ({ cluster, warning }: Record<string, string>) => output.push(`${cluster}: ${warning}`) };
  const { warning } = countTrouble(createMetrics(), logger as unknown as Logger);
  for (const text of ['unknown field "a"', 'unknown field "a"', 'unknown field "b"']) warning('x', text);
  warning('y', 'unknown field "a"');
  expect(output).toEqual(['x: unknown field "a"', 'x: unknown field "b"', 'y: unknown field "a"']);
  for (let count = 0; count < 1000; count += 1) warning('x', `deprecated ${count}`);
  expect(output).toHaveLength(100);
});
