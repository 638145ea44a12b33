import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode } from 'dns-packet';
import { expect, onTestFinished, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { startNameServer } from './name-server.ts';

/** Hands out the socket that a server uses: nothing but a raw socket of root sends from port 0. */
class OpenResources extends ReleaseStack {
  udp: Socket | undefined;

  override use<T>(name: string, resource: T, release: (resource: T) => void | Promise<void>): T {
    if (name === 'DNS over UDP') this.udp = resource as Socket;
    return super.use(name, resource, release);
  }
}

test('a query from port 0, to which nothing can be sent, does not end the server', async () => {
  const resources = new OpenResources();
  onTestFinished(() => resources.close());
  const names = { records: new Map([['web', ['10.7.0.5']]]), domain: '' };
  const logger = createLogger({ name: 'test', level: 'silent' });
  const port = await startNameServer({ host: '127.0.0.1', port: 0, names, upstreams: [], logger }, resources);
  const query = encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'web' }] });
  resources.udp?.emit('message', Buffer.from(query), { address: '127.0.0.1', family: 'IPv4', port: 0, size: 0 });
  const client = createSocket('udp4');
  client.send(query, port, '127.0.0.1');
  const [answer] = (await once(client, 'message')) as [Buffer];
  client.close();
  expect(decode(answer).answers).toHaveLength(1);
});
