import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { layoutOf, shortHash } from '../../../embedded/host/layout.ts';
import { type OutsideNetwork, openOutsideNetwork } from '../../harness/outside-network.ts';
import { Laboratory, NAMESPACE, type Seen } from './laboratory.ts';
import { createNetwork } from './lan.ts';
import { LISTENER, networkObjects, PROBE, scriptPod } from './manifests.ts';

const PORT = 4000;

let outside: OutsideNetwork;
let laboratory: Laboratory;
let hostService: Server;
let probes = 0;

beforeAll(async () => {
  outside = openOutsideNetwork();
  hostService = createServer((client) => client.end()).listen(0, '0.0.0.0');
  await once(hostService, 'listening');
  laboratory = await Laboratory.open({
    podCommands: { listener: LISTENER, probe: PROBE },
    config: { guests: { allowedNetworks: [`${outside.allowed}/32`, `${outside.metadata}/32`] } },
  });
  // Two VPCs with the very same addresses.
  for (const name of ['red', 'blue']) await createNetwork(laboratory, name, '10.77.0.0/24');
  const listener = scriptPod('listener', { network: 'red', ip: '10.77.0.10', image: 'listener', args: [String(PORT)] });
  await laboratory.create('Pod', listener);
  await laboratory.untilPhase('Pod', 'listener', 'Running');
});

afterAll(async () => {
  await laboratory?.close();
  hostService?.close();
  outside?.close();
});

/** Whether a pod in the network can connect to the address. */
async function reaches(network: string, host: string, port: number): Promise<boolean> {
  const name = `probe-${++probes}`;
  const args = [host, String(port)];
  await laboratory.create('Pod', scriptPod(name, { network, ip: `10.77.0.${100 + probes}`, image: 'probe', args }));
  const ended = await laboratory.until(
    'Pod',
    name,
    ({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed',
  );
  return ended.status?.phase === 'Succeeded';
}

const gateway = (replicas: number) => ({
  metadata: { name: 'out' },
  spec: { vpc: 'red', replicas, externalSubnet: 'external', policies: [{ snat: true, subnets: ['red-subnet'] }] },
});

test('pods of a VPC reach each other, and none reaches another VPC, the host, or the outside', async () => {
  const { port } = hostService.address() as AddressInfo;
  // A probe that could not connect at all would prove nothing: the first one must.
  expect(await reaches('red', '10.77.0.10', PORT)).toBe(true);
  const others = await Promise.all([
    reaches('blue', '10.77.0.10', PORT),
    reaches('red', outside.host, port),
    reaches('red', '127.0.0.1', port),
    reaches('red', outside.address, outside.port),
  ]);
  expect(others).toEqual([false, false, false, false]);
});

test('a gateway lets its own VPC out, to the internet alone, and only while it has replicas', async () => {
  const { port } = hostService.address() as AddressInfo;
  const created = await laboratory.create('VpcEgressGateway', gateway(1));
  const states: Seen['status'][] = [];
  const isReady = ({ status }: Seen) => states.push(status) > 0 && status?.phase === 'Completed';
  const ready = await laboratory.until('VpcEgressGateway', 'out', isReady, created.metadata.resourceVersion);
  // Its pod has to start first.
  expect(states.find((status) => status?.phase !== undefined)).toMatchObject({
    phase: 'Processing',
    ready: false,
    internalIPs: [],
    conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready', status: 'False' })]),
  });
  // Its pod takes an address like any other: the lowest free one, where none is named.
  expect(ready.status).toMatchObject({ ready: true, internalIPs: ['10.77.0.2'] });
  const { body } = await laboratory.client.send('GET', laboratory.path('IP'));
  const addresses = (body as unknown as { items: { spec: { podName: string; v4IpAddress: string } }[] }).items;
  expect(addresses.find(({ spec }) => spec.v4IpAddress === '10.77.0.2')?.spec.podName).toMatch(/^out-/);
  const open = await Promise.all([
    reaches('red', outside.address, outside.port),
    reaches('blue', outside.address, outside.port),
    reaches('red', outside.host, port),
    reaches('red', outside.neighbour, outside.port),
    reaches('red', outside.allowed, outside.port),
    reaches('red', outside.metadata, outside.port),
  ]);
  expect(open).toEqual([true, false, false, false, true, false]);
  // The rules are about IPv4; by IPv6 the host is not there.
  const { prefix } = layoutOf(laboratory.cluster.dataDir ?? '');
  const ends = execFileSync('ip', ['-o', 'addr', 'show'], { encoding: 'utf8' }).match(
    new RegExp(`\\b${prefix}\\S+ +inet6?`, 'g'),
  );
  expect(ends).toEqual([expect.stringMatching(/ inet$/)]);
  // The host itself reaches all of them: what stopped the pods are the rules.
  for (const hidden of [outside.neighbour, outside.metadata])
    await once(connect(outside.port, hidden).resume(), 'connect');
  const policyRoutes = [{ priority: 30_500, match: `ip4.dst == ${outside.address}/32`, action: 'drop' }];
  await laboratory.merge('Vpc', 'red', { spec: { policyRoutes } });
  await expect.poll(() => reaches('red', outside.address, outside.port), { timeout: 20_000 }).toBe(false);
  expect(await reaches('red', outside.allowed, outside.port)).toBe(true);
  await laboratory.merge('VpcEgressGateway', 'out', { spec: { replicas: 0 } });
  await laboratory.until('VpcEgressGateway', 'out', ({ status }) => status?.['replicas'] === 0);
  expect(await reaches('red', outside.address, outside.port)).toBe(false);
});

/** A machine that boots nothing, with a card for each network. */
const instance = (cards: Readonly<Record<string, object>>) => ({
  spec: {
    domain: {
      memory: { guest: '64Mi' },
      devices: { interfaces: Object.entries(cards).map(([name, binding]) => ({ name, ...binding })) },
    },
    networks: Object.keys(cards).map((name) => ({ name, multus: { networkName: `${NAMESPACE}/${name}` } })),
  },
});

test('a card that KubeVirt taps is left to the DHCP server on its segment', async () => {
  const { attachment, subnet } = networkObjects('wire', '10.78.0.0/24');
  await laboratory.create('NetworkAttachmentDefinition', attachment);
  const spec = { ...subnet.spec, vpc: 'blue', enableDHCP: false, excludeIps: ['10.78.0.1..10.78.0.200'] };
  await laboratory.create('Subnet', { ...subnet, spec });
  for (const [name, cards] of Object.entries({
    tapped: { wire: { binding: { name: 'managedtap' } } },
    bridged: { wire: { bridge: {} } },
    odd: { wire: { binding: { name: 'nobody' } } },
  })) {
    await laboratory.create('VirtualMachineInstance', { metadata: { name }, ...instance(cards) });
  }
  for (const name of ['tapped', 'bridged']) await laboratory.untilPhase('VirtualMachineInstance', name, 'Running');
  // KubeVirt's message differs; neither starts such a machine.
  const { status } = await laboratory.until('VirtualMachineInstance', 'odd', (seen) =>
    (seen.status?.conditions ?? []).some(({ type }) => type === 'Synchronized'),
  );
  expect(status?.conditions).toContainEqual(
    expect.objectContaining({ status: 'False', message: expect.stringContaining('network binding "nobody"') }),
  );
  // Both have an address of KubeOVN's choice, from the end that was left to it.
  const dhcp = join(layoutOf(laboratory.cluster.dataDir ?? '').run, 'dhcp', shortHash('wire-subnet', 16), 'hosts');
  for (const [name, answer] of [
    ['tapped', /^[\da-f:]{17},ignore\n$/],
    ['bridged', /,10\.78\.0\.2\d\d,bridged\n$/],
  ] as const) {
    const path = laboratory.path('IP', `${name}.${NAMESPACE}.wire.${NAMESPACE}.ovn`);
    const { body } = await laboratory.client.send('GET', path);
    const { macAddress, v4IpAddress } = body['spec'] as { macAddress: string; v4IpAddress: string };
    expect(v4IpAddress).toMatch(/^10\.78\.0\.2\d\d$/);
    expect(await readFile(join(dhcp, `card-${macAddress.replaceAll(':', '')}`), 'utf8')).toMatch(answer);
  }
});

test('a subnet with addresses in use is not to be deleted, and the VPC waits for the subnet', async () => {
  await laboratory.delete('Vpc', 'red');
  const subnet = `${laboratory.path('Subnet')}/red-subnet`;
  expect(await laboratory.client.send('DELETE', subnet)).toMatchObject({
    code: 403,
    body: { message: expect.stringContaining("can't delete subnet when any IPs in Using") },
  });
  expect(await laboratory.get('Vpc', 'red')).toBeDefined();
  // Gateways have pods, which have addresses.
  await laboratory.delete('VpcEgressGateway', 'out');
  const { body } = await laboratory.client.send('GET', laboratory.path('Pod'));
  for (const { metadata } of (body as unknown as { items: { metadata: { name: string } }[] }).items) {
    await laboratory.delete('Pod', metadata.name);
  }
  await laboratory.until('Subnet', 'red-subnet', ({ status }) => status?.['v4usingIPs'] === 0);
  await laboratory.delete('Subnet', 'red-subnet');
  await laboratory.untilGone('Subnet', 'red-subnet');
  await laboratory.untilGone('Vpc', 'red');
});
