import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';

import { createLogger } from '../../common/logging/logger.ts';
import { Confiner } from '../host/confinement.ts';
import { layoutOf, shortHash } from '../host/layout.ts';
import { findProcesses, killProcesses } from '../host/processes.ts';
import { networkOfCidrBlock } from './addresses.ts';
import { ensureBridge } from './bridges.ts';
import { DhcpServer } from './dhcp.ts';
import { ensureNamespace, removeNamespace, vpcNamespace } from './namespaces.ts';

test('a DHCP server hands out what virt-launcher does, and is back by itself when it is killed', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'slipway-dhcp-'));
  const layout = layoutOf(dataDir);
  const namespace = vpcNamespace(layout, 'vpc');
  await ensureNamespace(namespace, { isRouter: true });
  const confiner = await Confiner.open(dataDir, createLogger({ name: 'dhcp', level: 'error' }));
  const server = new DhcpServer({ layout, confiner, namespace, subnet: 'net', clock: systemClock });
  onTestFinished(async () => {
    await server.remove();
    await removeNamespace(namespace);
    await rm(dataDir, { recursive: true });
  });
  await ensureBridge({ namespace, subnet: 'net', address: '10.9.0.1/24' });
  await server.ensure({
    cidr: networkOfCidrBlock('10.9.0.0/24'),
    router: '10.9.0.1',
    nameServers: [],
    leaseSeconds: 60,
  });
  const running = async () => (await findProcesses(layout.run)).filter(({ argv }) => argv[0] === 'dnsmasq');
  await server.reserve({ mac: '02:00:00:00:00:01', ip: '10.9.0.9', searches: ['a.example', 'longer.example'] });
  const options = join(layout.run, 'dhcp', shortHash('net', 16), 'options', 'card-020000000001');
  expect(await readFile(options, 'utf8')).toBe(
    'tag:card-020000000001,15,longer.example\ntag:card-020000000001,119,a.example,longer.example\n',
  );
  await expect.poll(running).toHaveLength(1);
  const [first] = await running();
  // virt-launcher tells the default route in both options.
  expect(first?.argv).toEqual(
    expect.arrayContaining(['--dhcp-option=3,10.9.0.1', '--dhcp-option=121,0.0.0.0/0,10.9.0.1']),
  );
  await killProcesses(await running(), systemClock);
  await expect.poll(running, { timeout: 10_000 }).toEqual([expect.not.objectContaining({ pid: first?.pid })]);
  await server.remove();
  expect(await running()).toEqual([]);
});
