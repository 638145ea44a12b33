import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { startEmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { ReleaseStack } from '../lifecycle/release-stack.ts';
import { ClusterClient } from './cluster-client.ts';
import { podLog } from './diagnostics.ts';
import { screenshot, startMachine, stopMachine } from './machine-actions.ts';
import { openPortForward } from './port-forward.ts';
import { RESOURCES } from './resources.ts';
import { openSubresourceStream } from './subresource-stream.ts';
import { waitFor } from './wait-for.ts';

/** Echoes on port 7000; on port 7001 sends without end and prints how much was taken. */
const SERVER = `
  const { once } = require('node:events');
  const { createServer } = require('node:net');
  const echo = createServer((socket) => socket.pipe(socket)).listen(7000, '127.0.0.1');
  const flood = createServer((socket) => {
    const block = Buffer.alloc(65536);
    const push = () => { while (socket.write(block)); socket.once('drain', push); };
    socket.on('error', () => {}).on('close', () => console.log('sent', socket.bytesWritten));
    push();
  }).listen(7001, '127.0.0.1');
  Promise.all([once(echo, 'listening'), once(flood, 'listening')]).then(() => console.log('listening'));
`;

const resources = new ReleaseStack();
const { signal } = new AbortController();
let cluster: ClusterClient;

beforeAll(async () => {
  // Pods have users and folders of their own: nothing of this process's is there.
  const embedded = await startEmbeddedCluster({ podCommands: { server: [process.execPath, '-e', SERVER] } });
  resources.defer('cluster', () => embedded.stop());
  cluster = new ClusterClient(clusterConfig(embedded.kubeconfig, { namespace: 'default' }));
  const pod = { metadata: { name: 'server' }, spec: { containers: [{ name: 'server', image: 'server' }] } };
  await cluster.create(RESOURCES.pods, pod);
  await waitFor(
    cluster,
    { resource: RESOURCES.pods, name: 'server' },
    {
      ...{ signal, deadlineMs: 30_000, what: 'the pod' },
      until: (found) => (found?.status?.containerStatuses?.every(({ ready }) => ready) ? true : undefined),
    },
  );
  while (!(await podLog(cluster, 'server')).includes('listening'));
}, 60_000);

afterAll(() => resources.close());

test('carries bytes through a port-forward unchanged, in both directions at once', async () => {
  const stream = await openPortForward(cluster, { pod: 'server', port: 7000 });
  const sent = randomBytes(6 * 1024 * 1024);
  const hash = createHash('sha256');
  let received = 0;
  const all = new Promise<void>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      received += chunk.length;
      if (received === sent.length) resolve();
    });
  });
  stream.write(sent);
  await all;
  stream.destroy();
  expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
});

test('holds a sender back while the reader is paused', async () => {
  const stream = await openPortForward(cluster, { pod: 'server', port: 7001 });
  // Reads a little, then nothing until the flow has stood still.
  await once(stream, 'readable');
  stream.read();
  await waitUntilStill(() => stream.readableLength);
  expect(stream.readableLength).toBeLessThan(1024 * 1024);
  stream.destroy();
  let line: string | undefined;
  while (!line) line = (await podLog(cluster, 'server')).find((candidate) => candidate.startsWith('sent'));
  // Buffers of kernels and proxies are between; memory without bound does not.
  expect(Number(line.split(' ')[1])).toBeLessThan(64 * 1024 * 1024);
});

async function waitUntilStill(level: () => number): Promise<void> {
  for (let last = -1, now = level(); now !== last || now === 0; last = now, now = level()) {
    await cluster.clock.after(200);
  }
}

test('ends with the reason when the port refuses, and throws it when there is no pod', async () => {
  const stream = await openPortForward(cluster, { pod: 'server', port: 7002 });
  const [error] = await once(stream, 'error').catch((thrown) => [thrown]);
  expect(error).toMatchObject({ code: 'ConnectionLost', message: expect.stringContaining('7002') });
  await expect(openPortForward(cluster, { pod: 'nobody', port: 1 })).rejects.toMatchObject({
    name: 'ApiError',
    status: 404,
    message: expect.stringContaining('nobody'),
  });
});

test('opens the console of a machine, and reports why when it does not run', async () => {
  const name = 'screen';
  await cluster.create(RESOURCES.machines, {
    ...{ metadata: { name } },
    spec: {
      runStrategy: 'Manual',
      template: {
        spec: {
          terminationGracePeriodSeconds: 0,
          domain: { memory: { guest: '64Mi' }, devices: { autoattachPodInterface: false } },
        },
      },
    },
  });
  expect(await screenshot(cluster, name)).toBeUndefined();
  await startMachine(cluster, name);
  await waitFor(
    cluster,
    { resource: RESOURCES.instances, name },
    {
      ...{ signal, deadlineMs: 30_000, what: 'the VMI' },
      until: (vmi) => (vmi?.status?.phase === 'Running' ? true : undefined),
    },
  );
  const vnc = await openSubresourceStream(cluster, name, { stream: 'vnc' });
  const [banner] = (await once(vnc, 'data')) as [Buffer];
  expect(banner.toString()).toBe('RFB 003.008\n');
  expect((await screenshot(cluster, name))?.length).toBeGreaterThan(100);
  const ended = once(vnc, 'close');
  await stopMachine(cluster, name);
  await ended;
  await expect(openSubresourceStream(cluster, name, { stream: 'vnc' })).rejects.toMatchObject({ name: 'ApiError' });
  await expect(stopMachine(cluster, name)).rejects.toMatchObject({ status: 409 });
}, 60_000);
