import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { startRedis } from './redis-server.ts';

/** Whether Redis answers a PING; false when it hangs up or refuses the connection. Waits as long as it takes. */
async function ping(url: string): Promise<boolean> {
  const { hostname, port, password } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    socket.write(`${password === '' ? '' : `AUTH ${password}\r\n`}PING\r\n`);
    for await (const chunk of socket) if (String(chunk).includes('PONG')) return true;
    return false;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

test('a paused server answers when it continues, and can be stopped while it is paused', async () => {
  const server = await startRedis();
  try {
    expect(await ping(server.url)).toBe(true);
    await server.pause();
    const order: string[] = [];
    const answered = ping(server.url).then((answer) => order.push(answer ? 'answers' : 'hangs up'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    order.push('continues');
    await server.resume();
    await answered;
    expect(order).toEqual(['continues', 'answers']);
    await server.restart({ kill: true });
    expect(await ping(server.url)).toBe(true);
    await server.pause();
  } finally {
    await server.stop();
  }
  expect(await ping(server.url)).toBe(false);
});

test('a server ends with the process that started it, however that ends', { timeout: 90_000 }, async () => {
  const script = `
    import { startRedis } from './test/harness/redis-server.ts';
    console.log((await startRedis()).url);
    setInterval(() => {}, 60_000);
  `;
  // A server that is killed leaves its files.
  const folder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    cwd: packagePath(),
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let url: string = (await lines.next()).value;
  if (!url.startsWith('redis:')) url = (await lines.next()).value;
  expect(await ping(url)).toBe(true);
  child.kill('SIGKILL');
  await expect.poll(() => ping(url), { timeout: 60_000 }).toBe(false);
});
