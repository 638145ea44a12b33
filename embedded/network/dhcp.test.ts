import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';

import { createLogger } from '../../common/logging/logger.ts';
import { Confiner } from '../host/confinement.ts';
import { layoutOf } from '../host/layout.ts';
import { findProcesses, killProcesses } from '../host/processes.ts';
import { networkOfCidrBlock } from './addresses.ts';
import { ensureBridge } from './bridges.ts';
import { DhcpServer } from './dhcp.ts';
import { runInNamespace } from './ip-command.ts';
import { ensureNamespace, podNamespace, removeNamespace, vpcNamespace } from './namespaces.ts';
import { ensurePodNetwork } from './pod-network.ts';

test('a DHCP server hands out what virt-launcher does, and is back by itself when it is killed', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'slipway-dhcp-'));
  const layout = layoutOf(dataDir);
  const namespace = vpcNamespace(layout, 'vpc');
  await ensureNamespace(namespace, { isRouter: true });
  const confiner = await Confiner.open(dataDir, createLogger({ name: 'dhcp', level: 'error' }));
  const server = new DhcpServer({ layout, confiner, namespace, subnet: 'net', clock: systemClock });
  onTestFinished(async () => {
    await server.remove();
    await Promise.all([namespace, client].map(removeNamespace));
    await rm(dataDir, { recursive: true });
  });
  await ensureBridge({ namespace, subnet: 'net', address: '10.9.0.1/24' });
  const client = podNamespace(layout, 'client');
  const card = { namespace: client, podUid: 'client', vpcNamespace: namespace, subnet: 'net', gateway: '10.9.0.1' };
  await ensurePodNetwork({ ...card, address: '10.9.0.77/24', mac: '02:00:00:00:00:77' });
  await server.ensure({
    cidr: networkOfCidrBlock('10.9.0.0/24'),
    router: '10.9.0.1',
    nameServers: [],
    leaseSeconds: 60,
  });
  const running = async () => (await findProcesses(layout.run)).filter(({ argv }) => argv[0] === 'dnsmasq');
  await server.reserve({ mac: '02:00:00:00:00:01', ip: '10.9.0.9', searches: ['a.example', 'longer.example'] });
  await server.reserve({ mac: '02:00:00:00:00:02', ip: '10.9.0.8', hostname: 'vm', searches: ['other.example'] });
  await expect.poll(running).toHaveLength(1);
  const [first] = await running();
  // virt-launcher sends all options in each answer; the longest search domain is the domain.
  const all = { 3: '0a090001', 15: hex('longer.example'), 119: expect.stringMatching(/^0161.+0/), 121: '000a090001' };
  expect(await offer(client, '02:00:00:00:00:01')).toMatchObject(all);
  expect(await offer(client, '02:00:00:00:00:01', [1, 3])).toMatchObject(all);
  expect(await offer(client, '02:00:00:00:00:02')).toMatchObject({ 15: hex('other.example') });
  // Not so the host name.
  expect(await offer(client, '02:00:00:00:00:02', [1, 3])).not.toHaveProperty('12');
  expect(await offer(client, '02:00:00:00:00:02', [12])).toMatchObject({ 12: hex('vm') });
  await killProcesses(await running(), systemClock);
  await expect.poll(running, { timeout: 10_000 }).toEqual([expect.not.objectContaining({ pid: first?.pid })]);
  await server.remove();
  expect(await running()).toEqual([]);
});

const hex = (text: string) => Buffer.from(text).toString('hex');

/** Sends a DHCPDISCOVER for a card, and prints the answer (RFC 2131) in hexadecimal. */
const DISCOVER = `
  const socket = require('node:dgram').createSocket('udp4');
  const [mac, asked] = process.argv.slice(1);
  const head = Buffer.alloc(240);
  head.set([1, 1, 6, 0, 1, 2, 3, 4]);
  head.writeUInt16BE(0x8000, 10); // The answer is to be broadcast.
  head.write(mac, 28, 'hex');
  head.write('63825363', 236, 'hex');
  const wishes = asked === '' ? '' : '37' + (asked.length / 2).toString(16).padStart(2, '0') + asked;
  const discover = Buffer.concat([head, Buffer.from('350101' + wishes + 'ff', 'hex')]);
  socket.on('message', (answer) => { console.log(answer.toString('hex')); process.exit(); });
  socket.bind(68, () => {
    socket.setBroadcast(true);
    const send = () => socket.send(discover, 67, '255.255.255.255');
    send();
    setInterval(send, 500);
  });
  setTimeout(() => process.exit(1), 10000);`;

/** The options of the answer, in hexadecimal by number; without a list the card asks for none. */
async function offer(namespace: string, mac: string, asked: readonly number[] = []): Promise<Record<number, string>> {
  const list = Buffer.from(asked).toString('hex');
  const args = [process.execPath, '-e', DISCOVER, mac.replaceAll(':', ''), list];
  const answer = Buffer.from((await runInNamespace(namespace, args)).trim(), 'hex');
  const options: Record<number, string> = {};
  for (let at = 240; answer[at] !== 255 && at < answer.length; at += 2 + (answer[at + 1] ?? 0)) {
    options[answer[at] ?? 0] = answer.toString('hex', at + 2, at + 2 + (answer[at + 1] ?? 0));
  }
  return options;
}
