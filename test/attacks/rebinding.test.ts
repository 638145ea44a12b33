import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Laboratory } from '../conformance/machines/laboratory.ts';
import { dataVolume } from '../conformance/machines/manifests.ts';

/*
 * The attacker owns a name and the DNS server that answers for it. The first answer is an address that the cluster may reach,
 * where the attacker's own server sends the importer to the same name again; then the name means this host. The prize is a
 * service of the host at the same port.
 */
const ATTACKER = `127.53.${process.pid % 250}.2`;
const DNS = `127.53.${process.pid % 250}.53`;
const HOST = '127.0.0.1';

/** Paths that the attacker's server and the one of the host were asked for. */
const sent: string[] = [];
const asked: string[] = [];
/** What the names mean, one answer after the other; the last one stays. */
const answers = new Map<string, string[][]>();
let folder: string;
let dns: Socket;
let attacker: Server;
let internal: Server;
let port: number;
let laboratory: Laboratory;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-rebinding-'));
  dns = createSocket('udp4', (query, from) => {
    const { id, questions = [] } = decode(query);
    const [question] = questions;
    const known = answers.get(question?.name.toLowerCase() ?? '') ?? [];
    const addresses = question?.type === 'A' ? known : [];
    const now = (addresses.length > 1 ? addresses.shift() : addresses[0]) ?? [];
    const found = now.map((data) => ({ type: 'A', name: question?.name ?? '', ttl: 0, data }) as const);
    dns.send(encode({ type: 'response', id: id ?? 0, questions, answers: found }), from.port, from.address);
  });
  dns.bind(53, DNS);
  await once(dns, 'listening');
  internal = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end('the keys of the kingdom'.padEnd(4096));
  }).listen(0, HOST);
  await once(internal, 'listening');
  port = (internal.address() as AddressInfo).port;
  attacker = createServer((request, response) => {
    sent.push(request.url ?? '');
    const again = `http://${request.headers.host}/again`;
    response.writeHead(302, { location: again, connection: 'close' }).end();
  }).listen(port, ATTACKER);
  await once(attacker, 'listening');
  const [resolver, order] = [join(folder, 'resolv.conf'), join(folder, 'nsswitch.conf')];
  writeFileSync(resolver, `nameserver ${DNS}\noptions timeout:2 attempts:1\n`);
  writeFileSync(order, 'hosts: files dns\n');
  laboratory = await Laboratory.open({
    config: { fetch: { allowedAddresses: [`${ATTACKER}:${port}`] } },
    files: { '/etc/resolv.conf': resolver, '/etc/nsswitch.conf': order },
  });
}, 60_000);

afterAll(async () => {
  await laboratory?.close();
  dns?.close();
  for (const server of [attacker, internal]) {
    server?.close();
    server?.closeAllConnections();
  }
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** What the attacker reads of an import from the name. */
async function attempt(name: string): Promise<string> {
  await laboratory.create(
    'DataVolume',
    dataVolume(name, { http: { url: `http://${name}.test:${port}/first` } }, '16Mi'),
  );
  const failed = await laboratory.untilImportFails(name);
  await laboratory.delete('DataVolume', name);
  return failed.status?.conditions?.find(({ type }) => type === 'Running')?.message ?? '';
}

test.each<[string, string[][], string[]]>([
  ['later', [[ATTACKER], [HOST]], ['/first']],
  ['too', [[ATTACKER, HOST]], []],
  ['always', [[HOST]], []],
])('a name that means this host %s leads to nothing of it', async (name, meanings, sentOn) => {
  sent.length = 0;
  answers.set(`${name}.test`, meanings);
  expect(await attempt(name)).toContain(`${name}.test (${HOST}) is not a public address`);
  expect({ sent, asked }).toEqual({ sent: sentOn, asked: [] });
});
