import { expect, test } from 'vitest';
import { ReleaseStack } from './release-stack.ts';

test('releases in reverse order of opening, once', async () => {
  const order: string[] = [];
  const stack = new ReleaseStack();
  stack.use('first', 1, () => void order.push('first'));
  stack.use('second', 2, () => void order.push('second'));
  await Promise.all([stack.close(), stack.close()]);
  expect(order).toEqual(['second', 'first']);
});

test('continues when a release fails and reports every failure', async () => {
  const order: string[] = [];
  const stack = new ReleaseStack();
  stack.defer('kept', () => void order.push('kept'));
  stack.defer('broken', () => Promise.reject(new Error('no')));
  await expect(stack.close()).rejects.toThrow('Some resources were not released.');
  expect(order).toEqual(['kept']);
});

test('refuses a resource that is opened while closing', async () => {
  const stack = new ReleaseStack();
  await stack.close();
  expect(() => stack.defer('late', () => {})).toThrow('"late" was opened after its owner began to close.');
});
