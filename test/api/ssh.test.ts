import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../common/clock/clock.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { BY_HAND, type LiveApi, startApi, TOKEN } from './live-api.ts';

/** KubeVirt's way to a guest: reaching it lasts until `reached` lets it. */
let guests: WebSocketServer;
let reached: () => Promise<void>;
let api: LiveApi;
let buildId: string;

beforeEach(async () => {
  reached = async () => {};
  guests = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: () => 'plain.kubevirt.io',
    verifyClient: (_, answer) => void reached().then(() => answer(true)),
  });
  await once(guests, 'listening');
  const url = `ws://127.0.0.1:${(guests.address() as AddressInfo).port}`;
  const cluster = {
    name: 'lab',
    namespace: 'slipway',
    clock: systemClock,
    observed: (work: () => Promise<void>) => work(),
    transport: { credentials: async () => ({ headers: {} }), url: (path: string) => `${url}${path}` },
  };
  api = await startApi({}, undefined, {
    network: { kind: 'pod', hasEgress: true },
    cluster: cluster as unknown as ClusterClient,
  });
  await api.reset();
  buildId = (await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} })).buildId;
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  await api.store.lastPause(claim);
  const about = { module: 'desk', vm: 'vm', step: 0, name: 'by hand', type: 'handbuild' };
  await api.store.pause(claim, { event: 'handbuild-waiting', ...about, instructions: 'Press Accept.' }, null);
});

afterEach(async () => {
  await api.close();
  guests.close();
});

const nextGuest = async () => ((await once(guests, 'connection')) as [WebSocket])[0];

test('a session ends when the step continues, also while the guest is still being reached', async () => {
  const [guest, session] = await Promise.all([nextGuest(), api.client.machines.openSsh(buildId, 'vm')]);
  const ends = [once(guest, 'close'), once(session.resume(), 'end')];
  reached = async () => {
    await api.client.continue(buildId, 'vm');
  };
  const late = await api.client.machines.openSsh(buildId, 'vm');
  await Promise.all([...ends, once(late.resume(), 'end')]);
});

test('a connection to the guest ends with the client, also when no session follows', async () => {
  const path = `${api.url}/api/v1/builds/${buildId}/vms/vm/ssh`;
  const headers = { authorization: `Bearer ${TOKEN}`, connection: 'Upgrade', upgrade: 'nothing' };
  const [guest, answer] = await Promise.all([
    nextGuest(),
    once(request(path, { headers, agent: false }).end(), 'response').then(([response]) => response),
  ]);
  expect(answer.statusCode).toBe(400);
  await once(guest, 'close');
});
