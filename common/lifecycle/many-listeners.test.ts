import { getEventListeners, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fetch } from 'undici';
import { afterEach, expect, test, vi } from 'vitest';
import { allowManyListeners } from './many-listeners.ts';

afterEach(() => vi.restoreAllMocks());

test('takes any number of listeners without a warning, and undici takes the signal', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { signal } = new AbortController();
  allowManyListeners(signal);
  for (let count = 0; count < 2_000; count++) signal.addEventListener('abort', () => count);
  expect(getEventListeners(signal, 'abort')).toHaveLength(2_000);
  const server = createServer((_, response) => void response.end('content')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { signal });
    expect(await response.text()).toBe('content');
  } finally {
    server.close();
  }
  expect(warn).not.toHaveBeenCalled();
});
