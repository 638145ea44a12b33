import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { ClusterClient } from '../harness/cluster-client.ts';
import { startEmbeddedCluster } from '../harness/embedded-cluster.ts';
import { startLoneScheduler } from '../harness/lone-scheduler.ts';

/*
 * The attacker has no token, and asks for targets that are no URLs or cannot be decoded. The prize is the end of a server.
 */
const resources = new ReleaseStack();
let scheduler: string;
let cluster: string;

beforeAll(async () => {
  const embedded = await startEmbeddedCluster({ apiOnly: true });
  resources.defer('cluster', () => embedded.stop());
  const client = new ClusterClient(embedded.kubeconfig);
  cluster = client.config.getCurrentCluster()?.server ?? '';
  await client.close();
  ({ url: scheduler } = await startLoneScheduler(resources));
}, 120_000);

afterAll(() => resources.close());

const TARGETS = ['//', '//[', '/\\', '/%', '/%ff', '/api/v1/%ff', '/apis/%c0%ae', '/?%ff', '//host:99999/healthz', '*'];
const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket' };

async function statusOf(server: string, path: string, headers: Record<string, string>): Promise<number> {
  const ask = server.startsWith('https:') ? secure : plain;
  const asked = ask(server, { path, headers, agent: false, ...{ rejectUnauthorized: false } });
  const [answer] = (await once(asked.end(), 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}

test.each(['scheduler', 'cluster'])('targets that are no URLs are refused by the %s, which lives on', async (name) => {
  const server = name === 'cluster' ? cluster : scheduler;
  for (const headers of [{}, UPGRADE]) {
    for (const target of TARGETS) {
      const status = await statusOf(server, target, headers);
      expect([target, status >= 400 && status < 500]).toEqual([target, true]);
    }
  }
  expect(await statusOf(server, '/healthz', {})).toBe(200);
});
