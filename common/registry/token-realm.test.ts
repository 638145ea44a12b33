import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { parseContainerReference } from './image-reference.ts';
import { RegistryClient } from './registry-client.ts';
import type { RegistryOptions } from './registry-session.ts';

test('a registry with TLS gets no password sent over a connection without it', async () => {
  const asked: string[] = [];
  const plain = createServer((request, response) => {
    asked.push(request.headers.authorization ?? 'nothing');
    response.end('{"token":"t"}');
  }).listen(0, '127.0.0.1');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-realm-'));
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
  const openssl = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=r'];
  execFileSync('openssl', [...openssl, '-keyout', key ?? '', '-out', cert ?? ''], { stdio: 'ignore' });
  const secure = createSecureServer({ cert: readFileSync(cert ?? ''), key: readFileSync(key ?? '') }, (_, response) => {
    const realm = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/token`;
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="r"` }).end();
  }).listen(0, '127.0.0.1');
  // Registries on loopback are asked without TLS, so this one has a name.
  const agent = new Agent({
    connect: {
      rejectUnauthorized: false,
      lookup: (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    },
  });
  onTestFinished(async () => {
    rmSync(folder, { recursive: true });
    await agent.destroy();
    for (const server of [plain, secure]) server.close();
  });
  await Promise.all([plain, secure].map((server) => once(server, 'listening')));
  const reference = parseContainerReference(`registry.example:${(secure.address() as AddressInfo).port}/x/y:1`);
  const digest = async (options: RegistryOptions) =>
    reference && (await new RegistryClient(reference, { agent, ...options }).digest().catch(String));
  expect(await digest({ credentials: { username: 'ci', password: 'hunter2' } })).toContain('token server without TLS');
  expect(asked).toEqual([]);
  expect(await digest({})).toContain('status code 401');
  expect(asked).toEqual(['nothing']);
});
