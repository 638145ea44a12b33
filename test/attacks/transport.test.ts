import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type LoneScheduler, startLoneScheduler } from '../harness/lone-scheduler.ts';

/*
 * The attacker sits on the network between people and their farm. The prize is a token, which every request carries.
 */
const resources = new ReleaseStack();
let folder: string;
let certificateFile: string;
let keyFile: string;
let scheduler: LoneScheduler;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-transport-'));
  resources.defer('certificates', () => rmSync(folder, { recursive: true, force: true }));
  [certificateFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const openssl = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const names = ['-subj', '/CN=farm', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...openssl, ...names, '-keyout', keyFile, '-out', certificateFile], { stdio: 'ignore' });
  const tls = { host: '127.0.0.1', port: 0, certificateFile, keyFile };
  scheduler = await startLoneScheduler(resources, { tls });
});

afterAll(() => resources.close());

/** Output of the CLI with this in its environment. */
function slipway(args: readonly string[], environment: NodeJS.ProcessEnv): string {
  const [node, main] = programCommand('cli/main');
  const env = { PATH: process.env['PATH'], SLIPWAY_URL: scheduler.tlsUrl, SLIPWAY_TOKEN: scheduler.token };
  try {
    return execFileSync(node, [main, ...args], { env: { ...env, ...environment }, stdio: 'pipe' }).toString();
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr);
  }
}

test('a farm that serves TLS is trusted by its authority, and by nothing else', () => {
  const list = ['images', '--json'];
  expect(slipway(list, { SLIPWAY_CA_FILE: certificateFile })).toBe('{"images":[]}\n');
  expect(slipway([...list, '--ca-file', certificateFile], {})).toBe('{"images":[]}\n');
  const refused = slipway(list, {});
  expect(refused).toMatch(/self-signed certificate.*--ca-file/s);
  expect(slipway(list, { SLIPWAY_CA_FILE: keyFile })).toContain('contains no CA certificate');
});

test('a session of a browser that came by TLS is sent by TLS only', async () => {
  const body = new URLSearchParams({ token: scheduler.token }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: scheduler.tlsUrl };
  const cookies = await new Promise<string[]>((resolve, reject) => {
    const options = { method: 'POST', headers, rejectUnauthorized: false };
    const asked = request(`${scheduler.tlsUrl}/sign-in`, options, (response) => {
      resolve(response.resume().headers['set-cookie'] ?? []);
    });
    asked.once('error', reject).end(body);
  });
  expect(cookies.join()).toMatch(/HttpOnly; Secure; SameSite=Strict/);
});

test('old versions of TLS are refused', async () => {
  const { port } = new URL(scheduler.tlsUrl ?? '');
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const socket = connect({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false, ...old });
  const answer = await new Promise((resolve) => socket.once('error', resolve).once('secureConnect', resolve));
  socket.destroy();
  expect(answer).toMatchObject({ code: expect.stringMatching(/ALERT_PROTOCOL_VERSION|ECONNRESET/) });
});

test.each([
  [
    'plain HTTP for the network',
    { host: '0.0.0.0' },
    /http\.host is \\?"0\.0\.0\.0\\?": without TLS the scheduler listens on loopback only/,
  ],
  ['a certificate without its key', { tls: { certificateFile: '/nowhere' } }, /TLS needs both/],
  [
    'a certificate that is none',
    { tls: { certificateFile: '/etc/hostname', keyFile: '/etc/hostname' } },
    /cannot be used/,
  ],
])('a scheduler does not start with %s', async (_what, http, why) => {
  const own = new ReleaseStack();
  await expect(startLoneScheduler(own, http)).rejects.toThrow(why);
  await own.close();
});
