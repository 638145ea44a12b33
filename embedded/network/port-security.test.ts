import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { shortHash } from '../host/layout.ts';
import { bridgeName, ensureBridge } from './bridges.ts';
import { runSteps, setting } from './ip-command.ts';
import { ensureNamespace, removeNamespace } from './namespaces.ts';
import { acceptOnly, deliverTo, forgetPorts } from './port-security.ts';

const OWN = { mac: '02:00:00:00:00:02', ip: '10.9.0.2' };
const OTHER = { mac: '02:00:00:00:00:99', ip: '10.9.0.99' };
const PEER = { mac: '02:00:00:00:00:03', ip: '10.9.0.3' };
const IPV6 = 'fd00::2';

/** What arrives at the peer, by what it claims to be. */
const COUNTERS = `
table netdev seen {
  counter by-own { }
  counter by-mac { }
  counter by-ip { }
  counter by-arp { }
  counter by-ip6 { }
  chain in {
    type filter hook ingress device "eth0" priority 0;
    ether saddr ${OWN.mac} ip saddr ${OWN.ip} counter name by-own
    ether saddr ${OTHER.mac} counter name by-mac
    ip saddr ${OTHER.ip} counter name by-ip
    arp saddr ip ${OTHER.ip} counter name by-arp
    ip6 saddr ${IPV6} counter name by-ip6
  }
}`;

/** Two guests on a bridge, as namespaces whose cards are veth pairs. */
async function openSegment() {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-port-'));
  const [bridge = '', guest = '', peer = ''] = ['b', 'g', 'p'].map((role) => `port${role}${shortHash(directory, 8)}`);
  onTestFinished(async () => {
    for (const name of [guest, peer, bridge]) await removeNamespace(name);
    await rm(directory, { recursive: true });
  });
  for (const name of [bridge, guest, peer]) await ensureNamespace(name, { isRouter: false });
  // That namespaces of the cluster have no IPv6 is not what is tried here.
  await runSteps([guest, peer].map((name) => setting(name, 'net/ipv6/conf/default/disable_ipv6', 0)));
  await ensureBridge({ namespace: bridge, subnet: 'net', address: '10.9.0.1/24' });
  const ip = (...words: string[]) => execFileSync('ip', words, { encoding: 'utf8' });
  for (const [name, { mac, ip: address }] of [
    [guest, OWN],
    [peer, PEER],
  ] as const) {
    ip('-n', name, 'link', 'add', 'eth0', 'address', mac, 'type', 'veth', 'peer', 'name', name, 'netns', bridge);
    ip('-n', bridge, 'link', 'set', name, 'master', bridgeName('net'), 'up');
    ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
  ip('-n', guest, 'addr', 'add', `${OTHER.ip}/32`, 'dev', 'eth0');
  ip('-n', guest, 'addr', 'add', `${IPV6}/64`, 'dev', 'eth0', 'nodad');
  const inside = (name: string, words: readonly string[]) => ip('netns', 'exec', name, ...words);
  inside(peer, ['nft', COUNTERS]);

  /** One datagram to the peer, whose address is known by heart or asked for. */
  const send = (from: string, to: string, lladdr?: string) => {
    ip('-n', guest, 'neigh', 'flush', 'dev', 'eth0', 'nud', 'all');
    if (lladdr) ip('-n', guest, 'neigh', 'replace', to, 'lladdr', lladdr, 'dev', 'eth0', 'nud', 'permanent');
    const type = to.includes(':') ? 'udp6' : 'udp4';
    const script = `const s = require('node:dgram').createSocket('${type}');
      s.bind(0, '${from}', () => s.send('x', 9, '${to}', () => s.close()));`;
    inside(guest, [process.execPath, '-e', script]);
  };
  const all = () => {
    send(OTHER.ip, PEER.ip, PEER.mac);
    send(OTHER.ip, PEER.ip);
    send(IPV6, 'fd00::3', PEER.mac);
    ip('-n', guest, 'link', 'set', 'eth0', 'address', OTHER.mac);
    send(OWN.ip, PEER.ip, PEER.mac);
    ip('-n', guest, 'link', 'set', 'eth0', 'address', OWN.mac);
    send(OWN.ip, PEER.ip, PEER.mac);
  };
  /** How many of each have come since the last time. */
  const counted = () => {
    const { nftables } = JSON.parse(inside(peer, ['nft', '-j', 'reset', 'counters'])) as {
      nftables: { counter?: { name: string; packets: number } }[];
    };
    return Object.fromEntries(
      nftables.flatMap(({ counter }) => (counter ? [[counter.name.slice('by-'.length), counter.packets]] : [])),
    );
  };
  return { port: { namespace: bridge, device: guest }, peer: { namespace: bridge, device: peer }, all, counted, send };
}

beforeAll(() => expect(process.getuid?.()).toBe(0));

test('a secured port lets its own sender through, and no other', async () => {
  const { port, all, counted, send } = await openSegment();
  all();
  // All of them come through an open port: what is missing below was stopped.
  const open = counted();
  for (const name of ['own', 'mac', 'ip', 'arp', 'ip6']) expect(open[name], name).toBeGreaterThan(0);
  await runSteps(acceptOnly(port, OWN));
  all();
  expect(counted()).toEqual({ own: 1, mac: 0, ip: 0, arp: 0, ip6: 0 });
  await forgetPorts(port.namespace, [port.device, 'never-there']);
  send(OTHER.ip, PEER.ip, PEER.mac);
  expect(counted()).toMatchObject({ ip: 1 });
});

test('a subnet delivers frames to the address that it gave to a card only', async () => {
  const { peer, send, counted } = await openSegment();
  send(OWN.ip, PEER.ip, OTHER.mac);
  expect(counted()['own']).toBe(1);
  await runSteps(deliverTo(peer, PEER));
  send(OWN.ip, PEER.ip, OTHER.mac);
  expect(counted()['own']).toBe(0);
  send(OWN.ip, PEER.ip, PEER.mac);
  // A question goes to all, and the guest itself has to answer.
  send(OTHER.ip, PEER.ip);
  expect(counted()).toMatchObject({ own: 1, arp: 1 });
  // What the card receives is not looked at.
  await runSteps(acceptOnly(peer, PEER));
  send(OWN.ip, '10.9.0.98', PEER.mac);
  expect(counted()).toMatchObject({ own: 1 });
});
